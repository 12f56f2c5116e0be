import { describe, expect, test, vi } from 'vitest';
import { readLink } from './link';

/** A page at this address. `mode` is the mode that the server wrote into it. */
function page(address: string, { mode = 'token', state = null as unknown } = {}) {
  const { pathname, search, hash } = new URL(address, 'https://meet.example');
  const replaceState = vi.fn();
  const querySelector = (wanted: string) => (wanted.includes(`"${mode}"`) ? {} : null);
  const page = { location: { pathname, search, hash }, history: { state, replaceState }, document: { querySelector } };
  return { page: page as unknown as Window, replaceState };
}

describe('the address of the page', () => {
  test('has the token in its fragment, which leaves the address bar', () => {
    const { page: window, replaceState } = page('/?room=millpond&name=Ada#token=abc.def');
    expect(readLink(window)).toEqual({ room: 'millpond', name: 'Ada', token: 'abc.def', join: false, encrypted: false });
    expect(replaceState.mock.calls).toEqual([[{ token: 'abc.def' }, '', '/?room=millpond&name=Ada']]);
  });

  test('keeps the rest of the fragment', () => {
    const { page: window, replaceState } = page('/#token=abc&x=1');
    readLink(window);
    expect(replaceState.mock.calls).toEqual([[{ token: 'abc' }, '', '/#x=1']]);
  });

  test('after a reload has the token that the history entry keeps', () => {
    const { page: window, replaceState } = page('/?room=millpond', { state: { token: 'abc' } });
    expect(readLink(window).token).toBe('abc');
    expect(replaceState).not.toHaveBeenCalled();
  });

  test('has no token in its query, which servers log', () => {
    expect(readLink(page('/?room=millpond&token=abc').page).token).toBe('');
  });

  test('demands encryption only if it says so', () => {
    expect(readLink(page('/?room=millpond&encrypted=1').page).encrypted).toBe(true);
    expect(readLink(page('/?room=millpond').page).encrypted).toBe(false);
  });

  test('joins at once only in development mode', () => {
    expect(readLink(page('/?room=millpond&join=1', { mode: 'development' }).page).join).toBe(true);
    expect(readLink(page('/?room=millpond&join=1').page).join).toBe(false);
    expect(readLink(page('/?room=millpond', { mode: 'development' }).page).join).toBe(false);
  });
});
