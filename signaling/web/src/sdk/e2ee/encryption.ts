// End-to-end encryption of one call, in the page: connects the exchange of keys (`epochs.ts`) with signaling and with the
// worker (`worker.ts`), puts the worker between encoder and network, and says for each peer how far it is.

import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { DataCipher } from '../data_outlet';
import { Epochs, type Input, type Output, type Trust } from './epochs';
import { type Command, type Counts, FrameCrypto, type Report } from './frame_crypto';
import { BrowserIdentityStore, type IdentityStore } from './identity_store';
import { curvesHere, makeKeyPairs, makeOwnKeys } from './keys';
import type { AttachStreams, TransformOptions } from './worker';
import FrameWorker from './worker?worker&inline';

/** Of the messages to other clients; topics with `leat.` belong to the SDK. */
export const KEY_TOPIC = 'leat.e2ee';

/** Inputs that wait for the one before; messages beyond them are dropped, and this client requests their content again. */
const INPUTS_MAX = 1_024;
/** Tries of a message that the server refuses for now. */
const SEND_TRIES = 4;
const SEND_AGAIN_MS = 500;

/**
 * How far the encryption with a peer is: its media is decrypted; no key of it has arrived, or it does not encrypt; its
 * media does not fit its key.
 */
export type EncryptionState = 'encrypted' | 'waitingForKey' | 'wrongKey';

/** How far end-to-end encryption with a peer is. */
export interface PeerEncryption {
  readonly state: EncryptionState;
  /** To compare with the one that the peer shows; null before the public keys are exchanged. */
  readonly safetyNumber: string | null;
  readonly trust: Trust | null;
}

export interface EncryptionEvents {
  /** A state or a safety number has changed. */
  onChange(): void;
  /** A key for messages can be used from now on: of this peer, or with null of this client. */
  onKey(peerId: string | null): void;
  /** The user of a peer has another identity than before: a person should compare the safety number. */
  onIdentityChanged(user: string, peerId: string): void;
  note(what: string): void;
}

export interface EncryptionOptions {
  readonly store?: IdentityStore;
  /** For tests. */
  readonly makeWorker?: () => Worker;
  send(to: readonly string[], topic: string, body: Uint8Array): Promise<unknown>;
}

/** Before the public keys are exchanged. */
const UNKNOWN: PeerEncryption = { state: 'waitingForKey', safetyNumber: null, trust: null };

const NO_COUNTS: Counts = { opened: 0, malformed: 0, unknownKey: 0, wrongKey: 0 };

/** What a browser lacks for end-to-end encryption; null if it has all. */
export function missingForEncryption(): string | null {
  if (typeof crypto === 'undefined' || !crypto.subtle) return 'This page is not served over HTTPS, so it cannot encrypt.';
  if (hasScriptTransform() || hasEncodedStreams()) return null;
  return 'This browser cannot encrypt media end to end.';
}

function hasScriptTransform(): boolean {
  return typeof RTCRtpScriptTransform !== 'undefined';
}

function hasEncodedStreams(): boolean {
  return typeof RTCRtpSender !== 'undefined' && 'createEncodedStreams' in RTCRtpSender.prototype;
}

/** Settings of the peer connection that `createEncodedStreams` needs. */
export function peerConnectionSettings(): Record<string, unknown> {
  return hasScriptTransform() ? {} : { encodedInsertableStreams: true };
}

export class Encryption {
  readonly #options: EncryptionOptions;
  readonly #events: EncryptionEvents;
  readonly #store: IdentityStore;
  readonly #worker: Worker;
  /** Of data channels, whose messages are in the page. */
  readonly #messages = new FrameCrypto(
    () => this.#queue(() => this.#apply({ on: 'usedUp' })),
    () => undefined,
  );
  #epochs: Epochs | null = null;
  #place = '';
  #users: ReadonlyMap<string, string> = new Map();
  /** Immutable values. */
  readonly #shown = new Map<string, PeerEncryption>();
  readonly #counts = new Map<string, Counts>();
  #inputs: Promise<void> = Promise.resolve();
  #waiting = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(options: EncryptionOptions, events: EncryptionEvents) {
    this.#options = options;
    this.#events = events;
    this.#store = options.store ?? new BrowserIdentityStore();
    this.#worker = options.makeWorker?.() ?? new FrameWorker();
    this.#worker.onmessage = ({ data }: MessageEvent<Report>) => this.#onReport(data);
    this.#worker.onerror = ({ message }) => this.#events.note(`the encryption worker failed: ${message}`);
  }

  /** This client has a place in the room. In another place than before it starts again with new keys. */
  enter(room: string, peerId: string, user: string): void {
    if (this.#place === peerId) return;
    this.#place = peerId;
    this.#queue(async () => {
      this.#tell({ do: 'reset' });
      this.#shown.clear();
      this.#counts.clear();
      this.#users = new Map();
      const identity = await this.#store.own(user, async () => makeKeyPairs(await curvesHere()));
      this.#epochs = new Epochs(await makeOwnKeys(identity), peerId, room, this.#store);
      await this.#apply({ on: 'start' });
    });
  }

  /** The other peers in the room, with their users. */
  setPeers(users: ReadonlyMap<string, string>): void {
    this.#queue(async () => {
      for (const peerId of this.#users.keys()) if (!users.has(peerId)) await this.#apply({ on: 'left', peerId });
      for (const [peerId, user] of users) if (!this.#users.has(peerId)) await this.#apply({ on: 'joined', peerId, user });
      this.#users = users;
    });
  }

  onMessage(from: string, body: Uint8Array): void {
    if (this.#waiting < INPUTS_MAX) this.#queue(() => this.#apply({ on: 'message', from, body }));
  }

  /** A person has compared the safety number with this peer. */
  confirm(peerId: string): void {
    this.#queue(() => this.#apply({ on: 'verified', peerId }));
  }

  /** The same value until something in it changes. */
  stateOf(peerId: string): PeerEncryption {
    return this.#shown.get(peerId) ?? UNKNOWN;
  }

  /** Frames of a peer so far; null before the first. */
  countsOf(peerId: string): Counts | null {
    return this.#counts.get(peerId) ?? null;
  }

  /** Encrypts the messages of data channels. */
  get dataCipher(): DataCipher {
    return this.#messages;
  }

  /** From now on, what this sender sends is encrypted. Throws if the browser refuses: then nothing must be sent. */
  protectSender(sender: RTCRtpSender, source: string, mimeType: string): void {
    this.#attach(sender, { peerId: null, source, mimeType });
  }

  protectReceiver(receiver: RTCRtpReceiver, peerId: string, source: string, mimeType: string): void {
    this.#attach(receiver, { peerId, source, mimeType });
  }

  #attach(end: RTCRtpSender | RTCRtpReceiver, options: TransformOptions): void {
    if (hasScriptTransform()) {
      end.transform = new RTCRtpScriptTransform(this.#worker, options);
      return;
    }
    if (!hasEncodedStreams()) throw new Error('This browser cannot encrypt media end to end.');
    const { readable, writable } = (end as unknown as EncodedStreamsOwner).createEncodedStreams();
    const message: AttachStreams = { do: 'attach', options, readable, writable };
    this.#worker.postMessage(message, [readable, writable] as unknown as Transferable[]);
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#worker.terminate();
  }

  #queue(work: () => Promise<void>): void {
    this.#waiting += 1;
    this.#inputs = this.#inputs.then(async () => {
      this.#waiting -= 1;
      if (this.#ended) return;
      try {
        await work();
      } catch (error) {
        this.#events.note(`encryption: ${error instanceof Error ? error.message : error}`);
      }
    });
  }

  async #apply(input: Input): Promise<void> {
    const epochs = this.#epochs;
    if (!epochs) return;
    for (const output of await epochs.handle(input, Date.now())) this.#perform(output);
    this.#schedule(epochs);
  }

  #schedule(epochs: Epochs): void {
    clearTimeout(this.#timer);
    const { nextTimeout } = epochs;
    if (nextTimeout === null || this.#ended) return;
    // A timer may fire up to a millisecond before the clock has moved that far.
    const pause = Math.max(0, nextTimeout - Date.now()) + 1;
    this.#timer = setTimeout(() => this.#queue(() => this.#apply({ on: 'time' })), pause);
  }

  #perform(output: Output): void {
    switch (output.do) {
      case 'send':
        void this.#send(output.to, output.body);
        break;
      case 'showIdentity': {
        const { peerId, user, safetyNumber, trust } = output;
        this.#show(peerId, { safetyNumber, trust });
        if (trust === 'changed') this.#events.onIdentityChanged(user, peerId);
        break;
      }
      case 'setReceiveKey':
        this.#show(output.peerId, { state: 'encrypted' });
        this.#tell(output);
        break;
      case 'dropPeer':
        this.#shown.delete(output.peerId);
        this.#counts.delete(output.peerId);
        this.#tell(output);
        break;
      default:
        this.#tell(output);
    }
  }

  /** If a message is lost, its receiver requests the key again. */
  async #send(to: readonly string[], body: Uint8Array): Promise<void> {
    for (let attempt = 1; attempt <= SEND_TRIES && !this.#ended; attempt += 1) {
      try {
        await this.#options.send(to, KEY_TOPIC, body);
        return;
      } catch (error) {
        this.#events.note(`a key message was not sent: ${error instanceof Error ? error.message : error}`);
        await new Promise((resolve) => setTimeout(resolve, SEND_AGAIN_MS * attempt));
      }
    }
  }

  #tell(command: Command): void {
    this.#messages.handle('key' in command ? { ...command, key: messageKeyOf(command.key) } : command);
    this.#worker.postMessage(command);
    if (command.do === 'setSendKey') this.#events.onKey(null);
    if (command.do === 'setReceiveKey') this.#events.onKey(command.peerId);
  }

  #show(peerId: string, change: Partial<PeerEncryption>): void {
    const before = this.stateOf(peerId);
    const after = { ...before, ...change };
    const isSame = before.state === after.state && before.trust === after.trust && before.safetyNumber === after.safetyNumber;
    if (isSame) return;
    this.#shown.set(peerId, after);
    this.#events.onChange();
  }

  #onReport(report: Report): void {
    if (this.#ended) return;
    if (report.on === 'usedUp') {
      this.#queue(() => this.#apply({ on: 'usedUp' }));
      return;
    }
    for (const [peerId, counts] of report.peers) this.#onCounts(peerId, counts);
  }

  /** The state is what most frames since the report before were. */
  #onCounts(peerId: string, counts: Counts): void {
    const before = this.#counts.get(peerId) ?? NO_COUNTS;
    this.#counts.set(peerId, counts);
    const opened = counts.opened - before.opened;
    const unknownKey = counts.unknownKey - before.unknownKey;
    const wrong = counts.wrongKey + counts.malformed - before.wrongKey - before.malformed;
    if (opened === 0 && unknownKey === 0 && wrong === 0) return;
    const state = opened >= unknownKey + wrong ? 'encrypted' : wrong > unknownKey ? 'wrongKey' : 'waitingForKey';
    this.#show(peerId, { state });
    if (state !== 'encrypted') this.#queue(() => this.#apply({ on: 'missingKey', peerId }));
  }
}

/**
 * Frames and messages count their streams on their own, in the worker and in the page. With the same base key they would use
 * a nonce twice.
 */
export function messageKeyOf(key: Uint8Array): Uint8Array {
  return hmac(sha256, key, new TextEncoder().encode('leat data channels'));
}

interface EncodedStreamsOwner {
  createEncodedStreams(): Pick<AttachStreams, 'readable' | 'writable'>;
}
