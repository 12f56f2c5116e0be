// The address that the page was opened with: `?room=ROOM&name=NAME&join=1&encrypted=1#token=TOKEN`.
//
// The token is in the fragment, which browsers do not send to servers: it is in no log and in no Referer.
// `readLink` removes it from the address bar, so that it is not read there or copied with the address. The
// history entry keeps it for a reload of this tab.

export interface Link {
  room: string;
  name: string;
  token: string;
  /** Join without a click. */
  join: boolean;
  /** Encrypt end to end, whatever the policy of the room is. */
  encrypted: boolean;
}

/** `leat-signaling` writes this into the page in development mode, where no token is needed. */
const MODE = 'meta[name="leat-mode"][content="development"]';

/** Reads the page's address, and removes the token from it. */
export function readLink(page: Pick<Window, 'location' | 'history' | 'document'> | undefined = globalThis.window): Link {
  if (!page) return { room: '', name: '', token: '', join: false, encrypted: false };
  const query = new URLSearchParams(page.location.search);
  const fragment = new URLSearchParams(page.location.hash.slice(1));
  const kept: unknown = page.history.state?.token;
  const token = fragment.get('token') ?? (typeof kept === 'string' ? kept : '');
  if (fragment.has('token')) {
    fragment.delete('token');
    const rest = fragment.toString();
    page.history.replaceState({ token }, '', `${page.location.pathname}${page.location.search}${rest && `#${rest}`}`);
  }
  // Outside development mode a link must not start a camera whose permission the browser remembers: the user
  // has to click.
  const isDevelopment = page.document.querySelector(MODE) !== null;
  return {
    room: query.get('room') ?? '',
    name: query.get('name') ?? '',
    token,
    join: isDevelopment && query.get('join') === '1',
    encrypted: query.get('encrypted') === '1',
  };
}
