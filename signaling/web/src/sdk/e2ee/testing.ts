// Helpers for the tests of this folder.

/** Pseudorandom numbers that a seed repeats (mulberry32). */
export function seeded(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => next() % limit;
  const bytes = (length: number) => Uint8Array.from({ length }, () => below(256));
  return { below, bytes, chance: (share: number) => next() / 2 ** 32 < share };
}
