// The signaling channel: one Socket.IO connection that carries serialized `Signal`s: requests with an answer
// to the server, notifications from it. It reconnects by itself; its user (`entry.ts`, or a page without a
// `Call`) then joins again.

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { io, type Socket } from 'socket.io-client';
import { type Signal, SignalSchema } from '../gen/signal_pb';
import { SignalError, SocketLost, UnexpectedAnswer } from './errors';

/** Of the protocol in signal.proto. */
export const PROTOCOL_VERSION = '1';

/** The engine answers in milliseconds. A request without an answer after this long has failed. */
const REQUEST_TIMEOUT_MS = 8_000;

/** Pause after a server refused the connection because it is full. */
const REFUSED_PAUSE_MS = 2_000;

/**
 * After the server has closed the connection: the pause before the next one. It doubles with each closure in
 * a row, plus up to half of it at random, so that the clients of a room do not reconnect at the same time.
 */
const CLOSED_PAUSE_MIN_MS = 500;
const CLOSED_PAUSE_MAX_MS = 15_000;
/** A connection that lasted this long resets the count of closures. */
const LASTED_MS = 30_000;

/** The payload of a message of the signal protocol (docs/protocol.md). */
export type Payload = Signal['payload'];
export type PayloadCase = Exclude<Payload['case'], undefined>;
export type PayloadValue<C extends PayloadCase> = Extract<Payload, { case: C }>['value'];
/** The payload of a message to send; absent fields have their default values. */
export type PayloadInit = NonNullable<MessageInitShape<typeof SignalSchema>['payload']>;

/** Sends a request and returns the answer of the given kind, or throws one of `errors.ts`. */
export type Request = <C extends PayloadCase>(payload: PayloadInit, answer: C) => Promise<PayloadValue<C>>;

/** What a `SignalChannel` reports. */
export interface ChannelEvents {
  /** The socket is connected, for the first time or again. The server cannot assign it to a client yet. */
  onUp(): void;
  onDown(reason: string): void;
  /** `number` is the place of the notification in those of this peer; 0 when it concerns the socket only. */
  onNotification(payload: Payload, number: bigint): void;
  /** A notification that is not a Signal; it was skipped. */
  onMalformed(error: unknown): void;
}

/** One connection to the signaling server, which connects again by itself. For applications without a `Call`. */
export class SignalChannel {
  readonly #socket: Socket;
  readonly #requestTimeoutMs: number;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Times in a row that the server has closed the connection. */
  #closures = 0;
  #upSince = 0;

  /** `url` is the server's origin; undefined means the page's own. Call `open` afterwards. */
  constructor(url: string | undefined, events: Partial<ChannelEvents>, requestTimeoutMs = REQUEST_TIMEOUT_MS) {
    this.#requestTimeoutMs = requestTimeoutMs;
    const options = {
      autoConnect: false,
      forceNew: true,
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      // A restarted server is back within a second: try soon, then back off, with a random share against
      // simultaneous reconnects.
      reconnectionDelay: 100,
      reconnectionDelayMax: 2_000,
      randomizationFactor: 0.5,
      timeout: 5_000,
    };
    this.#socket = url === undefined ? io(options) : io(url, options);
    this.#socket.on('connect', () => {
      this.#upSince = Date.now();
      events.onUp?.();
    });
    this.#socket.on('disconnect', (reason) => {
      events.onDown?.(reason);
      // Besides our own close(), the only reason after which socket.io does not reconnect by itself.
      if (reason !== 'io server disconnect') return;
      this.#closures = Date.now() - this.#upSince < LASTED_MS ? this.#closures + 1 : 1;
      this.#retry = setTimeout(() => this.#socket.connect(), closedPauseMs(this.#closures));
    });
    this.#socket.on('connect_error', () => {
      // socket.io retries after transport errors, but not after a refusal by the server, for example a full
      // one.
      if (!this.#socket.active) this.#retry = setTimeout(() => this.#socket.connect(), REFUSED_PAUSE_MS);
    });
    this.#socket.on('signal', (bytes: ArrayBuffer | Uint8Array) => {
      let signal: Signal;
      try {
        signal = decode(bytes);
      } catch (error) {
        events.onMalformed?.(error);
        return;
      }
      for (const { payload, notification } of notifications(signal, events)) events.onNotification?.(payload, notification);
    });
  }

  get up(): boolean {
    return this.#socket.connected;
  }

  /** "websocket" or "polling"; empty without a connection. */
  get transport(): string {
    return this.#socket.io.engine?.transport?.name ?? '';
  }

  /** Connects, and connects again whenever the connection is lost, until `close`. */
  open(): this {
    this.#socket.connect();
    return this;
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#socket.disconnect();
  }

  /** Replaces the connection by a new one. */
  reopen(): void {
    clearTimeout(this.#retry);
    this.#socket.disconnect().connect();
  }

  readonly request: Request = async (payload, answer) => {
    const received = await this.ask(payload);
    if (received.case !== answer) throw new UnexpectedAnswer(payload.case, received.case);
    return received.value as PayloadValue<typeof answer>;
  };

  /** Sends a request that has more than one answer. */
  async ask(payload: PayloadInit): Promise<Payload> {
    // No message is queued for a later connection: after a reconnect, the call starts from the server's state
    // at that time.
    if (!this.#socket.connected) throw new SocketLost('not connected');
    const { id } = this.#socket;
    let bytes: ArrayBuffer | Uint8Array;
    try {
      bytes = await this.#socket.timeout(this.#requestTimeoutMs).emitWithAck('signal', encode(payload));
    } catch (error) {
      // The server may have made a producer that this client cannot close, because it does not know its id: the others
      // would receive the source twice. On a new connection the client resumes, and the server closes what it does not list.
      if (payload.case === 'produceMedia' && this.#socket.connected && this.#socket.id === id) this.reopen();
      throw new SocketLost(error instanceof Error ? error.message : String(error));
    }
    const { payload: received } = decode(bytes);
    if (received.case === 'error') throw new SignalError(received.value);
    return received;
  }

  /** Sends a message without waiting for its answer, for a page that is closing. */
  tell(payload: PayloadInit): void {
    if (this.#socket.connected) this.#socket.emit('signal', encode(payload), () => undefined);
  }
}

/** The pause after this many closures in a row; `chance` is from 0 to 1. */
export function closedPauseMs(closures: number, chance = Math.random()): number {
  const pause = Math.min(CLOSED_PAUSE_MIN_MS * 2 ** (closures - 1), CLOSED_PAUSE_MAX_MS);
  return pause * (1 + chance / 2);
}

/** The notification itself, or those of a batch. A malformed one in a batch is skipped. */
function* notifications(signal: Signal, events: Partial<ChannelEvents>): Generator<Signal> {
  if (signal.payload.case !== 'batch') {
    yield signal;
    return;
  }
  for (const bytes of signal.payload.value.signals) {
    try {
      yield decode(bytes);
    } catch (error) {
      events.onMalformed?.(error);
    }
  }
}

function encode(payload: PayloadInit): Uint8Array {
  return toBinary(SignalSchema, create(SignalSchema, { version: PROTOCOL_VERSION, payload }));
}

function decode(bytes: ArrayBuffer | Uint8Array): Signal {
  return fromBinary(SignalSchema, bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
}
