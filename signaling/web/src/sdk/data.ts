// The data channels of a call: file transfer, and the channels of the application. `sync.ts` receives those of other
// peers.

import type { types } from 'mediasoup-client';
import { type DataCipher, type DataOutlet, GatedOutlet, SealedOutlet, unpacked } from './data_outlet';
import { type DataChannelEvents, DataSender } from './data_sender';
import { messageOf } from './errors';
import type { FileStorage } from './files/file_storage';
import { FileTransfers } from './files/file_transfers';
import { browserStorage } from './files/opfs_storage';
import { type OutletEvents, producerOutlet, RoutedLink } from './files/routed_link';
import type { FileTransfer } from './files/types';
import type { Note } from './log';
import type { Delivery } from './media';
import { FILES_LABEL, SDK_LABELS } from './room';
import { emptyRoster, type Roster } from './roster';
import { WebRTCError } from './webrtc_error';

/** Of the message that tells a sender of files that its channel is received; its body is the id of the data producer. */
export const READY_TOPIC = 'leat.files';
/** A receiver that has not sent this message until then, in milliseconds, is not waited for. */
const READY_MS_MAX = 3_000;

/** A channel for files that waits for its receivers: what is sent before they have it is lost. */
interface Gate {
  readonly outlet: GatedOutlet;
  /** Peer ids. */
  readonly missing: Set<string>;
}

/** Receivers, delivery and events of a data channel. */
export interface DataChannelOptions extends Delivery, DataChannelEvents {
  /** Peer ids; absent: all others of the room, also those that join later. */
  readonly to?: readonly string[];
}

export interface CallDataEvents {
  produce(label: string, to: readonly string[], delivery: Delivery): Promise<types.DataProducer>;
  /** Null: the call is not encrypted. */
  cipher(): DataCipher | null;
  mayPublishData(): boolean;
  /** Sends a message with the topic `READY_TOPIC`. */
  tell(to: string, body: Uint8Array): void;
  /** A transfer has changed; null: it was removed. */
  onTransfer(id: string, transfer: FileTransfer | null): void;
  /** A message for the application. */
  onData(from: string, label: string, data: string | ArrayBuffer): void;
  note: Note;
}

export class CallData {
  readonly transfers: FileTransfers;
  readonly #events: CallDataEvents;
  readonly #link = new RoutedLink((to, events) => this.#openForFiles(to, events));
  /** By data producer id. */
  readonly #gates = new Map<string, Gate>();
  readonly #senders = new Set<DataSender>();
  /** The other peers. The same object at all times. */
  readonly #peers = new Set<string>();
  #roster: Roster = emptyRoster;
  /** What carries the channels; null while nothing does. */
  #carrier: object | null = null;
  /** By data producer id, the messages that are being decrypted, one after the other. */
  readonly #opening = new Map<string, Promise<void>>();
  #isRestored = false;
  #ended = false;

  constructor(events: CallDataEvents, storage: FileStorage = browserStorage()) {
    this.#events = events;
    this.transfers = new FileTransfers({
      peers: () => this.#peers,
      userOf: (peerId) => this.#roster.get(peerId)?.user ?? '',
      storage,
      onChange: (id, transfer) => events.onTransfer(id, transfer),
    });
    this.transfers.attach(this.#link);
  }

  /** Throws if the token does not permit data. */
  demandPermission(): void {
    if (this.#ended) throw new WebRTCError('CLOSED', 'The call has ended.');
    if (!this.#events.mayPublishData()) throw new WebRTCError('PERMISSION_DENIED', 'You may not send data in this room.');
  }

  openChannel(label: string, { to = [], onState, onLow, ...delivery }: DataChannelOptions): DataSender {
    this.demandPermission();
    if (label.startsWith(SDK_LABELS)) throw new WebRTCError('BAD_REQUEST', `Labels with ${SDK_LABELS} belong to the SDK.`);
    const onChange = (state: DataSender['state']) => {
      if (state === 'closed') this.#senders.delete(sender);
      onState?.(state);
    };
    const open = async (events: OutletEvents) => (await this.#open(label, to, delivery, events)).outlet;
    const sender = new DataSender(label, open, { onState: onChange, onLow });
    this.#senders.add(sender);
    sender.renew(this.#carrier !== null);
    return sender;
  }

  async #open(label: string, to: readonly string[], delivery: Delivery, events: OutletEvents) {
    const cipher = this.#events.cipher();
    const { ordered, maxRetransmits, maxPacketLifeTime } = delivery;
    const limits = { ordered, maxRetransmits, maxPacketLifeTime };
    const producer = producerOutlet(await this.#events.produce(label, to, limits), events);
    const outlet = cipher ? new SealedOutlet(producer, events, cipher.sealer(label)) : producer;
    return { id: producer.id, outlet };
  }

  async #openForFiles(to: string | null, events: OutletEvents): Promise<DataOutlet> {
    const opened = await this.#open(FILES_LABEL, to === null ? [] : [to], {}, events);
    const outlet = new GatedOutlet(opened.outlet, events);
    const missing = new Set(to === null ? this.#peers : [to]);
    const timer = setTimeout(() => this.#openGate(opened.id), READY_MS_MAX);
    outlet.onReady = () => clearTimeout(timer);
    this.#gates.set(opened.id, { outlet, missing });
    return outlet;
  }

  #openGate(dataProducerId: string): void {
    const gate = this.#gates.get(dataProducerId);
    this.#gates.delete(dataProducerId);
    gate?.outlet.ready();
  }

  /** A channel of another peer is received from now on. */
  onReceiving(peerId: string, label: string, dataProducerId: string): void {
    if (label === FILES_LABEL) this.#events.tell(peerId, new TextEncoder().encode(dataProducerId));
  }

  /** A peer receives a channel of this client from now on. */
  onReady(peerId: string, body: Uint8Array): void {
    this.#onNotMissing(new TextDecoder().decode(body), peerId);
  }

  #onNotMissing(dataProducerId: string, peerId: string): void {
    const gate = this.#gates.get(dataProducerId);
    gate?.missing.delete(peerId);
    if (gate?.missing.size === 0) this.#openGate(dataProducerId);
  }

  /** `carrier`: the media of the call, while it can carry channels. Cheap if nothing has changed. */
  follow(carrier: object | null, roster: Roster): void {
    if (this.#ended) return;
    if (roster !== this.#roster) this.#setRoster(roster);
    if (carrier === this.#carrier) return;
    this.#carrier = carrier;
    this.#link.setOpen(false);
    this.#link.setOpen(carrier !== null);
    for (const sender of [...this.#senders]) sender.renew(carrier !== null);
  }

  #setRoster(roster: Roster): void {
    this.#roster = roster;
    for (const peerId of [...this.#peers]) {
      if (roster.has(peerId)) continue;
      this.#peers.delete(peerId);
      this.#link.onPeerLeft(peerId);
      this.transfers.onPeerLeft(peerId);
      for (const id of [...this.#gates.keys()]) this.#onNotMissing(id, peerId);
    }
    for (const peerId of roster.keys()) this.#peers.add(peerId);
  }

  /** The roster is known. Files that an earlier page did not finish continue. */
  restore(): void {
    if (this.#isRestored) return;
    this.#isRestored = true;
    this.transfers
      .restore()
      .catch((error) => this.#events.note(`files of an earlier page were not restored: ${messageOf(error)}`, 'warn', error));
  }

  receive(from: string, label: string, dataProducerId: string, data: string | ArrayBuffer): void {
    const cipher = this.#events.cipher();
    if (!cipher) {
      this.#deliver(from, label, data);
      return;
    }
    // A clear message in an encrypted call is not from a peer that encrypts.
    if (typeof data === 'string') return;
    const before = this.#opening.get(dataProducerId) ?? Promise.resolve();
    const opening = before.then(async () => {
      const plaintext = await cipher.open(from, label, new Uint8Array(data)).catch(() => null);
      const message = plaintext && unpacked(plaintext);
      if (message !== null && this.#events.cipher() === cipher) this.#deliver(from, label, message);
      if (this.#opening.get(dataProducerId) === opening) this.#opening.delete(dataProducerId);
    });
    this.#opening.set(dataProducerId, opening);
  }

  #deliver(from: string, label: string, data: string | ArrayBuffer): void {
    if (this.#ended) return;
    if (label !== FILES_LABEL) this.#events.onData(from, label, data);
    else if (typeof data !== 'string') this.#link.receive(from, new Uint8Array(data));
  }

  /** The call has ended. Received files stay. */
  end(): void {
    if (this.#ended) return;
    this.transfers.close();
    this.#ended = true;
    this.#link.setOpen(false);
    for (const sender of [...this.#senders]) sender.close();
  }
}
