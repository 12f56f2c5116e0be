// Sends and receives the messages of `wire.ts` as messages of signaling, encrypted if the call is. A message that cannot
// be decrypted yet waits for its key: the key of a peer that has just joined is a message of its own.

import type { DataCipher } from '../data_outlet';
import { retryAfterMs, SocketLost } from '../errors';
import { WebRTCError } from '../webrtc_error';
import { type Content, decode, encode, type Message } from './wire';

export const ROOM_TOPIC = 'leat.room';

/** Time for the exchange of keys, in milliseconds; after it a message is not sent. */
const KEY_MS_MAX = 5_000;
const KEY_AGAIN_MS = 100;
/** A received message waits this long for its key. */
const WAIT_MS_MAX = 15_000;
/** Received messages that wait for a key; the oldest is dropped for one more. */
const WAITING_MAX = 256;
/** Numbers of a sender that are remembered. Earlier ones count as taken. */
const NUMBERS_MAX = 1_024n;
const SEND_TRIES = 3;
const LOST_PAUSE_MS = 1_000;

export interface MessageLinkEvents {
  send(to: readonly string[], topic: string, body: Uint8Array): Promise<unknown>;
  /** Null: the call is not encrypted. */
  cipher(): DataCipher | null;
  ownId(): string;
  onMessage(from: string, message: Message): void;
  note(what: string): void;
}

interface Waiting {
  readonly from: string;
  readonly body: Uint8Array;
  readonly until: number;
}

interface Taken {
  highest: bigint;
  readonly numbers: Set<bigint>;
}

export class MessageLink {
  readonly #events: MessageLinkEvents;
  #number = 0n;
  #sealing: { cipher: DataCipher; seal: ReturnType<DataCipher['sealer']> } | null = null;
  #waiting: Waiting[] = [];
  /** Received messages are handled one after the other. */
  #received: Promise<void> = Promise.resolve();
  readonly #taken = new Map<string, Taken>();
  #ended = false;

  constructor(events: MessageLinkEvents) {
    this.#events = events;
  }

  /** To these peers, or with none to the room. Rejects if the server refuses it, or no key is there. */
  async send(content: Content, to: readonly string[] = []): Promise<void> {
    this.#number += 1n;
    const plaintext = encode({ number: this.#number, to, content });
    for (let attempt = 1; ; attempt += 1) {
      // Sealed for each try: the call may be encrypted, or have another key, meanwhile.
      const body = await this.#sealed(plaintext);
      try {
        await this.#events.send(to, ROOM_TOPIC, body);
        return;
      } catch (error) {
        const pause = error instanceof SocketLost ? LOST_PAUSE_MS : retryAfterMs(error);
        if (pause === 0 || attempt === SEND_TRIES || this.#ended) throw error;
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  async #sealed(plaintext: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const until = Date.now() + KEY_MS_MAX;
    while (!this.#ended) {
      const cipher = this.#events.cipher();
      if (!cipher) return plaintext;
      if (this.#sealing?.cipher !== cipher) this.#sealing = { cipher, seal: cipher.sealer(ROOM_TOPIC) };
      const sealed = await this.#sealing.seal(plaintext);
      if (sealed) return sealed;
      if (Date.now() >= until) break;
      await new Promise((done) => setTimeout(done, KEY_AGAIN_MS));
    }
    throw new WebRTCError('SERVER_UNAVAILABLE', 'The keys of this call are not exchanged yet. Try again.');
  }

  receive(from: string, body: Uint8Array): void {
    this.#handle({ from, body, until: Date.now() + WAIT_MS_MAX });
  }

  /** Another key of this peer can be used. */
  onKey(from: string): void {
    const due = this.#waiting.filter((waiting) => waiting.from === from);
    this.#waiting = this.#waiting.filter((waiting) => waiting.from !== from);
    due.forEach((waiting) => void this.#handle(waiting));
  }

  forget(peerId: string): void {
    this.#taken.delete(peerId);
    this.#waiting = this.#waiting.filter(({ from }) => from !== peerId);
  }

  end(): void {
    this.#ended = true;
    this.#waiting = [];
  }

  #handle(received: Waiting): void {
    this.#received = this.#received.then(async () => {
      if (this.#ended) return;
      const { from, body } = received;
      const cipher = this.#events.cipher();
      const plaintext = cipher ? await cipher.open(from, ROOM_TOPIC, body).catch(() => null) : body;
      if (plaintext) this.#take(from, plaintext);
      else this.#wait(received);
    });
  }

  #wait(received: Waiting): void {
    const now = Date.now();
    this.#waiting = [...this.#waiting, received].filter(({ until }) => until > now).slice(-WAITING_MAX);
  }

  #take(from: string, plaintext: Uint8Array): void {
    const message = decode(plaintext);
    if (!message) {
      this.#events.note('skipped a message of another client that is not valid');
      return;
    }
    const { to, number } = message;
    if (to.length > 0 && !to.includes(this.#events.ownId())) return;
    if (this.#isNew(from, number)) this.#events.onMessage(from, message);
  }

  /** A server that repeats a message of an encrypted call changes nothing. */
  #isNew(from: string, number: bigint): boolean {
    const taken = this.#taken.get(from) ?? { highest: 0n, numbers: new Set<bigint>() };
    if (number + NUMBERS_MAX <= taken.highest || taken.numbers.has(number)) return false;
    taken.numbers.add(number);
    if (number > taken.highest) {
      taken.highest = number;
      for (const old of taken.numbers) if (old + NUMBERS_MAX <= number) taken.numbers.delete(old);
    }
    this.#taken.set(from, taken);
    return true;
  }
}
