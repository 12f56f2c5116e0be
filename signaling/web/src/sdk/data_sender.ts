// A data channel on which the application sends. Its data producers come and go with the transports; the channel stays.

import { ErrorCode } from '../gen/signal_pb';
import type { DataOutlet } from './data_outlet';
import { isFinal, messageOf, SignalError } from './errors';
import type { OutletEvents } from './files/routed_link';
import { WebRTCError } from './webrtc_error';
import { backoffMs } from './work';

/** Bytes of a message: the engine accepts 256 KiB, of which encryption needs some. */
export const DATA_MESSAGE_MAX = 261_120;

/** `opening` also while there are no transports: nothing can be sent. */
export type DataChannelState = 'opening' | 'open' | 'closed';

/** What a `DataSender` reports. */
export interface DataChannelEvents {
  onState?(state: DataChannelState): void;
  /** `bufferedAmount` has fallen to a quarter of a megabyte. */
  onLow?(): void;
}

const LOW_BYTES = 262_144;

/** A channel from this client to other peers. After the loss of its transports it opens again. */
export class DataSender {
  readonly #open: (events: OutletEvents) => Promise<DataOutlet>;
  readonly #events: DataChannelEvents;
  #outlet: DataOutlet | null = null;
  /** The latest attempt to open. */
  #attempt: object | null = null;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: DataChannelState = 'opening';
  #error: Error | null = null;

  /** @internal */
  constructor(
    readonly label: string,
    open: (events: OutletEvents) => Promise<DataOutlet>,
    events: DataChannelEvents,
  ) {
    this.#open = open;
    this.#events = events;
  }

  get state(): DataChannelState {
    return this.#state;
  }

  /** Why the channel was closed; null if the application or the end of the call closed it. */
  get error(): Error | null {
    return this.#error;
  }

  /** Bytes that are not sent yet. */
  get bufferedAmount(): number {
    return this.#outlet?.bufferedAmount ?? 0;
  }

  /** Throws a `WebRTCError`: `CLOSED` if the channel is not open now, `LIMIT` if the message is too long. */
  send(message: string | ArrayBuffer | Uint8Array<ArrayBuffer>): void {
    if (this.#state !== 'open' || !this.#outlet) throw new WebRTCError('CLOSED', `The channel ${this.label} is not open.`);
    const data = message instanceof ArrayBuffer ? new Uint8Array(message) : message;
    const size = typeof data === 'string' ? new TextEncoder().encode(data).length : data.length;
    if (size > DATA_MESSAGE_MAX) throw new WebRTCError('LIMIT', `A message has at most ${DATA_MESSAGE_MAX} bytes.`);
    try {
      this.#outlet.send(data);
    } catch (error) {
      throw new WebRTCError('DATA_CHANNEL', messageOf(error));
    }
  }

  close(): void {
    this.#close(null);
  }

  /**
   * There are other transports, or none.
   * @internal
   */
  renew(hasTransports: boolean): void {
    if (this.#state === 'closed') return;
    this.#drop();
    this.#failures = 0;
    if (hasTransports) void this.#start();
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#attempt = null;
    const outlet = this.#outlet;
    this.#outlet = null;
    if (outlet && outlet.readyState !== 'closed') outlet.close();
    this.#setState('opening');
  }

  async #start(): Promise<void> {
    const attempt = {};
    this.#attempt = attempt;
    const isNow = () => this.#attempt === attempt;
    const events: OutletEvents = {
      onOpen: () => isNow() && this.#onReady(),
      onLow: () => isNow() && this.#events.onLow?.(),
      onClosed: () => isNow() && this.#onFailed(null),
    };
    try {
      const outlet = await this.#open(events);
      if (!isNow()) {
        outlet.close();
        return;
      }
      this.#outlet = outlet;
      outlet.bufferedAmountLowThreshold = LOW_BYTES;
      this.#onReady();
    } catch (error) {
      if (isNow()) this.#onFailed(error);
    }
  }

  #onReady(): void {
    if (this.#outlet?.readyState !== 'open') return;
    this.#failures = 0;
    this.#setState('open');
  }

  #onFailed(error: unknown): void {
    if (isLasting(error)) {
      this.#close(error instanceof WebRTCError ? error : new WebRTCError('DATA_CHANNEL', messageOf(error)));
      return;
    }
    this.#drop();
    this.#failures += 1;
    this.#timer = setTimeout(() => void this.#start(), backoffMs(this.#failures));
  }

  #close(error: Error | null): void {
    if (this.#state === 'closed') return;
    this.#drop();
    this.#error = error;
    this.#setState('closed');
  }

  #setState(state: DataChannelState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.onState?.(state);
  }
}

/** True for a refusal that another try would get, too. */
function isLasting(error: unknown): boolean {
  if (error instanceof SignalError) return isFinal(error) && error.errorCode !== ErrorCode.NO_SUCH_TRANSPORT;
  return error instanceof Error && error.name === 'UnsupportedError';
}
