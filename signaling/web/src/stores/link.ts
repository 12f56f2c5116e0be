// The address that the page was opened with: `?room=ROOM&name=NAME&join=1#token=TOKEN`.
//
// The token is in the fragment, which browsers send to no server: it is in no log and in no Referer. It leaves the address bar at once, so that nobody
// reads it there or copies it with the address; the history entry keeps it for a reload of this tab.

export interface Link {
  room: string;
  name: string;
  token: string;
  /** Join without a click. */
  join: boolean;
}

/** What `leat-signaling` writes into the page in development mode, where everybody is admitted. */
const MODE = 'meta[name="leat-mode"][content="development"]';

/** Reads the page's address, and takes the token out of it. */
export function readLink(page: Pick<Window, 'location' | 'history' | 'document'> | undefined = globalThis.window): Link {
  if (!page) return { room: '', name: '', token: '', join: false };
  const query = new URLSearchParams(page.location.search);
  const fragment = new URLSearchParams(page.location.hash.slice(1));
  const kept: unknown = page.history.state?.token;
  const token = fragment.get('token') ?? (typeof kept === 'string' ? kept : '');
  if (fragment.has('token')) {
    fragment.delete('token');
    const rest = fragment.toString();
    page.history.replaceState({ token }, '', `${page.location.pathname}${page.location.search}${rest && `#${rest}`}`);
  }
  // Elsewhere a link that somebody sent must not put a camera on the air whose permission the browser remembers: that takes a click.
  const isDevelopment = page.document.querySelector(MODE) !== null;
  return {
    room: query.get('room') ?? '',
    name: query.get('name') ?? '',
    token,
    join: isDevelopment && query.get('join') === '1',
  };
}
