// The storage of the page's origin: of the browser, or of this tab. It throws where the user has switched it off: then
// nothing is kept.

type Storage = 'local' | 'session';

function storageOf(storage: Storage) {
  return storage === 'local' ? globalThis.localStorage : globalThis.sessionStorage;
}

export function saved(key: string, storage: Storage = 'local'): string | null {
  try {
    return storageOf(storage)?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

export function save(key: string, value: string, storage: Storage = 'local'): void {
  try {
    storageOf(storage)?.setItem(key, value);
  } catch {
    // As in `saved`; or it is full.
  }
}
