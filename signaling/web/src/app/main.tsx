import { type ReactNode, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Call } from '../sdk';
import { currentCall, useCallStore } from '../stores/useCallStore';
import { useWhipStore } from '../stores/useWhipStore';
import { App } from './App';
import { CheckPage } from './components/CheckPage';
import { WhipPage } from './components/WhipPage';
import { followSettings } from './page_settings';
import './theme.css';
import './style.css';
import './tiles.css';
import './join.css';
import './call.css';
import './panels.css';
import './notices.css';
import './conversation.css';
import './narrow.css';

declare global {
  interface Window {
    /**
     * For debugging in the console and for browser tests: the store, the running call with its `history` and
     * `getStats`, and the class of calls. Nothing in the app reads it.
     */
    __leat: { store: typeof useCallStore; readonly call: ReturnType<typeof currentCall>; Call: typeof Call };
  }
}

window.__leat = {
  store: useCallStore,
  get call() {
    return currentCall();
  },
  Call,
};

// A closed tab leaves immediately. Without this, the others would see a still picture until the server's
// timeout.
window.addEventListener('pagehide', () => {
  currentCall()?.abandon();
  void useWhipStore.getState().stop();
});
// A page restored from the browser's back/forward cache still shows the call that it left.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload();
});

// What counts as the user's activity. The call sends a report every half minute at most.
const reportActivity = () => currentCall()?.reportActivity();
for (const event of ['pointerdown', 'pointermove', 'keydown', 'wheel']) {
  window.addEventListener(event, reportActivity, { passive: true, capture: true });
}
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') reportActivity();
  // A picture-in-picture window is visible without its page.
  useCallStore.getState().setPageHidden(document.visibilityState === 'hidden' && !document.pictureInPictureElement);
});

followSettings(document);

// The server sends this page for every path that is not its own.
const pages: Record<string, () => ReactNode> = { '/whip': WhipPage, '/check': CheckPage };
const Page = pages[location.pathname.replace(/\/$/, '')] ?? App;

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
