// What a data channel of a call sends through, clear or encrypted. An encrypted message is the ciphertext of one byte for
// its kind, and its content.

import type { Outlet, OutletEvents } from './files/routed_link';

/** An `Outlet` that sends text, too. */
export interface DataOutlet extends Outlet {
  send(message: string | Uint8Array<ArrayBuffer>): void;
}

/** Encrypts the messages of data channels with the keys of the call. */
export interface DataCipher {
  /** For one channel; null if there is no key. */
  sealer(label: string): (plaintext: Uint8Array) => Promise<Uint8Array<ArrayBuffer> | null>;
  /** Null if it does not fit a key of this peer. */
  open(peerId: string, label: string, sealed: Uint8Array): Promise<Uint8Array<ArrayBuffer> | null>;
}

const BINARY = 0;
const TEXT = 1;

/** Messages are encrypted and sent in their order. One without a key is dropped: it must not be sent clear. */
export class SealedOutlet implements DataOutlet {
  readonly #outlet: Outlet;
  readonly #events: Pick<OutletEvents, 'onLow'>;
  readonly #seal: ReturnType<DataCipher['sealer']>;
  #sending: Promise<void> = Promise.resolve();
  /** Bytes that wait for their encryption. */
  #waiting = 0;

  constructor(outlet: Outlet, events: Pick<OutletEvents, 'onLow'>, seal: ReturnType<DataCipher['sealer']>) {
    this.#outlet = outlet;
    this.#events = events;
    this.#seal = seal;
  }

  get readyState(): RTCDataChannelState {
    return this.#outlet.readyState;
  }

  get bufferedAmount(): number {
    return this.#outlet.bufferedAmount + this.#waiting;
  }

  get bufferedAmountLowThreshold(): number {
    return this.#outlet.bufferedAmountLowThreshold;
  }

  set bufferedAmountLowThreshold(bytes: number) {
    this.#outlet.bufferedAmountLowThreshold = bytes;
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    const plaintext = packed(message);
    this.#waiting += plaintext.length;
    this.#sending = this.#sending.then(async () => {
      const sealed = await this.#seal(plaintext).catch(() => null);
      const before = this.bufferedAmount;
      this.#waiting -= plaintext.length;
      try {
        if (sealed && this.readyState === 'open') this.#outlet.send(sealed);
      } catch {
        // The channel closes: its owner gets that event.
      }
      const limit = this.bufferedAmountLowThreshold;
      // The browser gives this event for its own buffer only.
      if (before > limit && this.bufferedAmount <= limit) this.#events.onLow();
    });
  }

  close(): void {
    this.#outlet.close();
  }
}

/** An outlet that opens only after `ready`. */
export class GatedOutlet implements DataOutlet {
  readonly #outlet: DataOutlet;
  readonly #events: Pick<OutletEvents, 'onOpen'>;
  #isReady = false;
  onReady: () => void = () => undefined;

  constructor(outlet: DataOutlet, events: Pick<OutletEvents, 'onOpen'>) {
    this.#outlet = outlet;
    this.#events = events;
  }

  ready(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.onReady();
    if (this.readyState === 'open') this.#events.onOpen();
  }

  get readyState(): RTCDataChannelState {
    const { readyState } = this.#outlet;
    return readyState === 'open' && !this.#isReady ? 'connecting' : readyState;
  }

  get bufferedAmount(): number {
    return this.#outlet.bufferedAmount;
  }

  get bufferedAmountLowThreshold(): number {
    return this.#outlet.bufferedAmountLowThreshold;
  }

  set bufferedAmountLowThreshold(bytes: number) {
    this.#outlet.bufferedAmountLowThreshold = bytes;
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    this.#outlet.send(message);
  }

  close(): void {
    this.#outlet.close();
  }
}

function packed(message: string | Uint8Array): Uint8Array {
  const bytes = typeof message === 'string' ? new TextEncoder().encode(message) : message;
  const all = new Uint8Array(bytes.length + 1);
  all[0] = typeof message === 'string' ? TEXT : BINARY;
  all.set(bytes, 1);
  return all;
}

/** The message in a plaintext; null if it is not one. */
export function unpacked(plaintext: Uint8Array<ArrayBuffer>): string | ArrayBuffer | null {
  if (plaintext[0] === BINARY) return plaintext.slice(1).buffer;
  return plaintext[0] === TEXT ? new TextDecoder().decode(plaintext.subarray(1)) : null;
}
