// Whether a call is encrypted end to end, and its `Encryption` once it is. What was encrypted stays encrypted: a server that
// takes the policy back must not make this client send clear media.

import { Device } from 'mediasoup-client';
import type { DataCipher } from '../data_outlet';
import { EncryptionUnavailable } from '../errors';
import type { Protection } from '../media';
import type { CallNotice } from '../notice';
import type { Roster } from '../roster';
import { Encryption, KEY_TOPIC, missingForEncryption, type PeerEncryption, peerConnectionSettings } from './encryption';
import { encryptingDevice } from './handler';
import type { IdentityStore } from './identity_store';

export interface CallEncryptionOptions {
  readonly encryption?: 'asRoom' | 'always';
  readonly identityStore?: IdentityStore;
  readonly makeDevice?: () => Promise<Device>;
  /** For tests. */
  readonly makeEncryptionWorker?: () => Worker;
}

export interface CallEncryptionEvents {
  send(to: readonly string[], topic: string, body: Uint8Array): Promise<unknown>;
  onChange(): void;
  onNotice(notice: CallNotice): void;
  /** As in `EncryptionEvents`. */
  onKey(peerId: string | null): void;
  note(what: string): void;
}

export class CallEncryption {
  readonly #options: CallEncryptionOptions;
  readonly #events: CallEncryptionEvents;
  #encryption: Encryption | null = null;
  #roster: Roster | null = null;

  constructor(options: CallEncryptionOptions, events: CallEncryptionEvents) {
    this.#options = options;
    this.#events = events;
  }

  get isOn(): boolean {
    return this.#encryption !== null;
  }

  /** Null while the call is not encrypted. */
  get protection(): Protection | null {
    const encryption = this.#encryption;
    return (
      encryption && {
        settings: peerConnectionSettings(),
        protectSender: (sender, source, mimeType) => encryption.protectSender(sender, source, mimeType),
        protectReceiver: (receiver, peerId, source, mimeType) => encryption.protectReceiver(receiver, peerId, source, mimeType),
      }
    );
  }

  /** Null while the call is not encrypted. */
  get dataCipher(): DataCipher | null {
    return this.#encryption?.dataCipher ?? null;
  }

  /**
   * The policy of the room is known. True if encryption begins now: media that exists must be replaced. Throws
   * `EncryptionUnavailable` if this browser has none.
   */
  follow({ encrypted }: { readonly encrypted: boolean }): boolean {
    if (this.#encryption || !(encrypted || this.#options.encryption === 'always')) return false;
    const { identityStore: store, makeEncryptionWorker: makeWorker } = this.#options;
    const missing = makeWorker ? null : missingForEncryption();
    if (missing !== null) throw new EncryptionUnavailable(missing);
    const { send, onChange, onNotice, onKey, note } = this.#events;
    this.#encryption = new Encryption(
      { store, makeWorker, send },
      {
        onChange,
        onKey,
        onIdentityChanged: (user) => onNotice({ code: 'KEY_CHANGED', name: user }),
        note,
      },
    );
    note('end-to-end encryption is on');
    return true;
  }

  makeDevice(): Promise<Device> {
    if (this.#options.makeDevice) return this.#options.makeDevice();
    return this.isOn ? encryptingDevice() : Device.factory();
  }

  /** This client has a place in the room. */
  enter(room: string, peerId: string, user: string): void {
    this.#roster = null;
    this.#encryption?.enter(room, peerId, user);
  }

  setRoster(roster: Roster): void {
    if (!this.#encryption || this.#roster === roster) return;
    this.#roster = roster;
    this.#encryption.setPeers(new Map([...roster].map(([peerId, { user }]) => [peerId, user])));
  }

  /** True if the message belongs to the exchange of keys. */
  onMessage(from: string, topic: string, body: Uint8Array): boolean {
    if (topic !== KEY_TOPIC) return false;
    this.#encryption?.onMessage(from, body);
    return true;
  }

  stateOf(peerId: string): PeerEncryption | null {
    return this.#encryption?.stateOf(peerId) ?? null;
  }

  countsOf(peerId: string): ReturnType<Encryption['countsOf']> {
    return this.#encryption?.countsOf(peerId) ?? null;
  }

  confirm(peerId: string): void {
    this.#encryption?.confirm(peerId);
  }

  end(): void {
    this.#encryption?.end();
  }
}
