import { expect, test } from 'vitest';
import { ChunkSet } from './chunk_set';
import { random } from './testing';

/** The same with one entry for each chunk. */
function missingOf(present: readonly boolean[], rangesMax: number) {
  const total = present.length;
  const next = present.includes(false) ? present.indexOf(false) : total;
  const after = present.lastIndexOf(true) + 1;
  const ranges: { start: number; end: number }[] = [];
  for (let at = next; at < after; at++) {
    const last = ranges.at(-1);
    if (present[at]) continue;
    if (last?.end === at) last.end += 1;
    else if (ranges.length === rangesMax) return { next, end: at, ranges };
    else ranges.push({ start: at, end: at + 1 });
  }
  return { next, end: Math.max(next, after), ranges };
}

test('a set agrees with a list of booleans, for any order of additions', () => {
  for (let seed = 1; seed <= 400; seed++) {
    const next = random(seed);
    const total = 1 + Math.floor(next() * 200);
    const set = new ChunkSet(total);
    const present = Array.from({ length: total }, () => false);
    for (let step = 0; step < 12; step++) {
      const start = Math.floor(next() * total);
      const end = start + Math.floor(next() * next() * 100);
      set.addRange(start, end);
      present.fill(true, start, end);
      const rangesMax = 1 + Math.floor(next() * 4);
      const missing = set.missing(rangesMax);
      expect(missing, `seed ${seed}`).toEqual(missingOf(present, rangesMax));
      expect(set.count, `seed ${seed}`).toBe(present.filter(Boolean).length);
      expect(set.next, `seed ${seed}`).toBe(missing.next);
      // What is described arrives at the other side.
      const other = ChunkSet.of(total, missing);
      const known = present.map((has, at) => has && at < missing.end);
      expect(
        Array.from({ length: total }, (_, at) => other.has(at)),
        `seed ${seed}`,
      ).toEqual(known);
    }
  }
});

test('a full and an empty set', () => {
  const set = new ChunkSet(64);
  expect(set.missing(4)).toEqual({ next: 0, end: 0, ranges: [] });
  set.addRange(0, 1_000);
  expect(set.isComplete).toBe(true);
  expect(set.missing(4)).toEqual({ next: 64, end: 64, ranges: [] });
  expect(new ChunkSet(0).isComplete).toBe(true);
});
