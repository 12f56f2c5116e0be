// The chunks of a file that one side has: one bit for each. Adding a range and listing what is missing take time in
// proportion to the chunks divided by 32, whatever the pattern is. Pure.

import type { Missing, Range } from './file_wire';

export class ChunkSet {
  readonly total: number;
  readonly #words: Uint32Array;
  #count = 0;
  #next = 0;
  #end = 0;

  constructor(total: number) {
    this.total = total;
    this.#words = new Uint32Array(Math.ceil(total / 32));
  }

  /** The set that a receiver describes. */
  static of(total: number, missing: Missing): ChunkSet {
    const set = new ChunkSet(total);
    set.addAllBut(missing);
    return set;
  }

  get count(): number {
    return this.#count;
  }

  get isComplete(): boolean {
    return this.#count === this.total;
  }

  /** The first missing chunk; `total` if there is none. */
  get next(): number {
    this.#next = this.missingFrom(this.#next);
    return this.#next;
  }

  has(sequence: number): boolean {
    return (((this.#words[sequence >>> 5] ?? 0) >>> (sequence & 31)) & 1) === 1;
  }

  add(sequence: number): void {
    this.addRange(sequence, sequence + 1);
  }

  /** `end` excluded; what is beyond `total` is ignored. */
  addRange(start: number, end: number): void {
    const last = Math.min(end, this.total);
    for (let at = start; at < last; ) {
      const word = at >>> 5;
      const upTo = Math.min(last, (word + 1) * 32);
      const before = this.#words[word] ?? 0;
      const after = (before | bits(at & 31, upTo - at)) >>> 0;
      if (after !== before) {
        this.#words[word] = after;
        this.#count += ones(before ^ after);
      }
      at = upTo;
    }
    if (last > start) this.#end = Math.max(this.#end, last);
  }

  /** Adds what a receiver has. */
  addAllBut({ next, end, ranges }: Missing): void {
    this.addRange(0, next);
    let after = next;
    for (const range of ranges) {
      this.addRange(after, range.start);
      after = range.end;
    }
    this.addRange(after, end);
  }

  /** The first missing chunk from `start` on; `total` if there is none. */
  missingFrom(start: number): number {
    return this.#find(start, this.total, 'missing');
  }

  /** What this set lacks, as a receiver describes it, with at most `rangesMax` ranges. */
  missing(rangesMax: number): Missing {
    const next = this.next;
    const ranges: Range[] = [];
    let at = next;
    while (at < this.#end) {
      if (ranges.length === rangesMax) return { next, end: at, ranges };
      const end = this.#find(at, this.#end, 'present');
      ranges.push({ start: at, end });
      at = this.#find(end, this.#end, 'missing');
    }
    return { next, end: Math.max(next, this.#end), ranges };
  }

  /** The first chunk from `start` that is missing or present; `end` if there is none. */
  #find(start: number, end: number, wanted: 'missing' | 'present'): number {
    for (let at = start; at < end; ) {
      const word = at >>> 5;
      const present = this.#words[word] ?? 0;
      const matches = (wanted === 'present' ? present : ~present) >>> (at & 31);
      if (matches !== 0) return Math.min(end, at + 31 - Math.clz32(matches & -matches));
      at = (word + 1) * 32;
    }
    return end;
  }
}

/** `length` ones from `start`. */
function bits(start: number, length: number): number {
  return length === 32 ? 0xffff_ffff : ((1 << length) - 1) << start;
}

function ones(word: number): number {
  let left = word - ((word >>> 1) & 0x5555_5555);
  left = (left & 0x3333_3333) + ((left >>> 2) & 0x3333_3333);
  return Math.imul((left + (left >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
