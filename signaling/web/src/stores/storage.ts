// The storage of the page's origin. It throws where the user has switched it off: then nothing is kept.

export function saved(key: string): string | null {
  try {
    return globalThis.localStorage?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

export function save(key: string, value: string): void {
  try {
    globalThis.localStorage?.setItem(key, value);
  } catch {
    // As in `saved`; or it is full.
  }
}
