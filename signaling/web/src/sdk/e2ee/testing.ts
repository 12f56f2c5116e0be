// Helpers for the tests of this folder.

import { type Command, type EncodedFrame, FrameCrypto, type Report } from './frame_crypto';

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

/** An encoded frame with this content. */
export const frame = (text = 'a picture'): EncodedFrame => ({
  data: new TextEncoder().encode(text).buffer,
  type: 'delta',
  getMetadata: () => ({}),
});

/** The worker replaced: the same `FrameCrypto`, called directly. */
export class DirectWorker {
  onmessage: ((event: { data: Report }) => void) | null = null;
  onerror: unknown = null;
  terminated = false;
  /** The latest epoch with which this client sends. */
  epoch = 0;
  readonly crypto = new FrameCrypto(
    () => this.onmessage?.({ data: { on: 'usedUp' } }),
    () => this.onmessage?.({ data: this.crypto.report }),
  );

  postMessage(command: Command): void {
    if (command.do === 'setSendKey') this.epoch = command.epoch;
    this.crypto.handle(structuredClone(command));
  }

  terminate(): void {
    this.terminated = true;
  }
}
