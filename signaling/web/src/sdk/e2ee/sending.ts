// The keys with which this client encrypts. A nonce of AES-GCM is never used twice with a key, for four reasons: each
// session (a loaded page that joined) and each epoch has a random base key; each stream has a key id that no other stream
// of the epoch had before; SFrame derives key and salt from base key and key id; and the counter of a stream only grows.

import { AES_256_GCM_SHA512_128, type Bytes, type CipherSuite, SframeKey, SframeSender } from './sframe';

/** Both ends use this one. */
export const SUITE: CipherSuite = AES_256_GCM_SHA512_128;

/**
 * Key ids of one epoch. A track has one; a track that is published again takes another. When all are taken, a new epoch is
 * due.
 */
export const STREAMS_PER_EPOCH = 256;

export function kidOf(epoch: number, stream: number): bigint {
  return BigInt(epoch) * BigInt(STREAMS_PER_EPOCH) + BigInt(stream);
}

/** Null for a key id that no sender of this kind makes. */
export function epochOf(kid: bigint): number | null {
  const epoch = kid / BigInt(STREAMS_PER_EPOCH);
  return epoch > 0n && epoch <= 0xffff_ffffn ? Number(epoch) : null;
}

interface Epoch {
  readonly number: number;
  readonly baseKey: Uint8Array;
  nextStream: number;
}

export class SendingKeys {
  #epoch: Epoch | null = null;
  readonly #onUsedUp: () => void;

  /** `onUsedUp`: the epoch has no key ids left, or a key has encrypted as much as it may. */
  constructor(onUsedUp: () => void = () => undefined) {
    this.#onUsedUp = onUsedUp;
  }

  get epoch(): number {
    return this.#epoch?.number ?? 0;
  }

  /** Starts an epoch. An epoch that has been in use is not started again: its counters would begin at 0. */
  start(epoch: number, baseKey: Uint8Array): boolean {
    if (epoch <= this.epoch) return false;
    this.#epoch = { number: epoch, baseKey, nextStream: 0 };
    return true;
  }

  /** A stream that encrypts with the latest epoch, whichever that is when a frame comes. `limit` is for tests. */
  stream(limit?: number): SendingStream {
    return new SendingStream(
      () => this.#take(),
      () => this.epoch,
      this.#onUsedUp,
      limit,
    );
  }

  #take(): Promise<SframeKey> | null {
    const epoch = this.#epoch;
    if (!epoch) return null;
    if (epoch.nextStream >= STREAMS_PER_EPOCH) {
      this.#onUsedUp();
      return null;
    }
    const kid = kidOf(epoch.number, epoch.nextStream);
    epoch.nextStream += 1;
    return SframeKey.derive(SUITE, kid, epoch.baseKey);
  }
}

export class SendingStream {
  readonly #take: () => Promise<SframeKey> | null;
  readonly #epoch: () => number;
  readonly #onUsedUp: () => void;
  readonly #limit: number | undefined;
  #current: { readonly epoch: number; readonly sender: Promise<SframeSender> } | null = null;

  constructor(take: () => Promise<SframeKey> | null, epoch: () => number, onUsedUp: () => void, limit: number | undefined) {
    this.#take = take;
    this.#epoch = epoch;
    this.#onUsedUp = onUsedUp;
    this.#limit = limit;
  }

  /** Null while there is no key; then the frame must not be sent. */
  async seal(plaintext: Uint8Array, metadata?: Uint8Array): Promise<Bytes | null> {
    const sender = await this.#sender();
    const sealed = await sender?.seal(plaintext, metadata);
    if (sender?.isUsedUp) this.#onUsedUp();
    return sealed ?? null;
  }

  #sender(): Promise<SframeSender> | null {
    const epoch = this.#epoch();
    if (this.#current?.epoch === epoch) return this.#current.sender;
    const key = this.#take();
    if (!key) return null;
    this.#current = { epoch, sender: key.then((key) => new SframeSender(key, this.#limit)) };
    return this.#current.sender;
  }
}
