// File transfer: reads, checks, stores and hashes, and connects the states of `sending.ts` and `receiving.ts` with a
// channel.

import { sha256 } from '@noble/hashes/sha2.js';
import { FileTransferError, fileErrorText } from './file_errors';
import type { FileLink } from './file_link';
import { safeFileName, safeFileType } from './file_name';
import { BlobSource, type FileSource } from './file_source';
import type { FileSink, FileStorage, StoredFile } from './file_storage';
import { chunkLength, chunksOf, decode, encode, type FileSignal, type Offer, sameBytes, type WireChunk } from './file_wire';
import {
  BUFFER_HIGH_BYTES,
  BUFFER_LOW_BYTES,
  BYTES_PER_SENDER_MAX,
  CHUNK_BYTES_MAX,
  ENDED_MAX,
  FILE_BYTES_MAX,
  OFFERS_OPEN_MAX,
  TICK_MS,
  TRANSFERS_PER_SENDER_MAX,
} from './limits';
import { type Rate, rateAfter } from './rate';
import { Receiving } from './receiving';
import { Sending } from './sending';
import type { FileMetadata, FileTransfer } from './types';

/** The clock of file transfers. Tests replace it. */
export interface FileClock {
  /** Milliseconds. */
  now(): number;
  /** Calls `run` once. The result stops that. */
  after(ms: number, run: () => void): () => void;
}

/** The settings of `FileTransfers`. */
export interface FileTransfersOptions {
  /** The other peers of the room. */
  peers(): ReadonlySet<string>;
  /** The user of a peer; empty if it has none. A peer that returns under another id is found by its user. */
  userOf(peerId: string): string;
  readonly storage: FileStorage;
  /** A transfer is new or has changed; `null`: it was removed. */
  onChange(id: string, transfer: FileTransfer | null): void;
  readonly clock?: FileClock;
  /** Unguessable, and as `file.proto` demands. */
  newId?(): string;
  /** Bytes of a chunk, if the channel's messages must be shorter. */
  readonly chunkBytes?: number;
  /** SHA-256 of a chunk. */
  digest?(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

type Hash = ReturnType<typeof sha256.create>;

interface Shown {
  transfer: FileTransfer | null;
  rate: Rate | null;
}

interface Outgoing extends Shown {
  readonly kind: 'send';
  readonly id: string;
  readonly sending: Sending;
  readonly source: FileSource;
  /** By peer id. */
  readonly users: Map<string, string>;
  readonly hash: Hash;
  /** The first chunks of the file that are in the hash. */
  hashed: number;
  isHashing: boolean;
}

interface Incoming extends Shown {
  readonly kind: 'receive';
  readonly id: string;
  readonly receiving: Receiving;
  readonly user: string;
  readonly queue: WireChunk[];
  isStoring: boolean;
  isAccepting: boolean;
  sink: FileSink | null;
  readonly hash: Hash;
  hashed: number;
  isHashing: boolean;
  result: Blob | null;
}

const browserClock: FileClock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** The file transfers over one `FileLink`. */
export class FileTransfers {
  readonly #options: FileTransfersOptions;
  readonly #clock: FileClock;
  readonly #digest: (data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;
  readonly #outgoing = new Map<string, Outgoing>();
  readonly #incoming = new Map<string, Incoming>();
  #link: FileLink | null = null;
  #isPumping = false;
  /** The file that sends the next chunk. */
  #turn = 0;
  #stopTick: (() => void) | null = null;
  #isClosed = false;

  constructor(options: FileTransfersOptions) {
    this.#options = options;
    this.#clock = options.clock ?? browserClock;
    this.#digest = options.digest ?? (async (data) => new Uint8Array(await crypto.subtle.digest('SHA-256', data)));
  }

  /** The channel: the first one, one that replaces it, or none at present. Transfers continue over the next one. */
  attach(link: FileLink | null): void {
    this.#link?.listen(null);
    this.#link = link;
    if (!link) return;
    link.bufferedAmountLowThreshold = BUFFER_LOW_BYTES;
    link.listen({
      onMessage: (from, message) => this.#onMessage(from, message),
      onLow: () => void this.#pump(),
      onOpen: () => this.#onOpen(),
      onClosed: () => undefined,
    });
    if (link.isOpen) this.#onOpen();
  }

  /** Offers a file to a peer, or with null to all peers that are in the room now. Returns the transfer's id. */
  send(file: File, to: string | null): string;
  send(source: FileSource, to: string | null, metadata: Omit<FileMetadata, 'size'>): string;
  send(file: File | FileSource, to: string | null, given?: Omit<FileMetadata, 'size'>): string {
    const source = file instanceof Blob ? new BlobSource(file) : file;
    const { name, type, lastModified } = given ?? (file as File);
    const { size } = source;
    if (size > FILE_BYTES_MAX) {
      throw new FileTransferError('FILE_TOO_LARGE', `${name} has ${size} bytes; at most ${FILE_BYTES_MAX} can be sent.`);
    }
    const receivers = to === null ? [...this.#options.peers()] : [to];
    if (receivers.length === 0) throw new FileTransferError('NO_RECEIVER', 'No other person is in the room.');
    const id = this.#options.newId?.() ?? crypto.randomUUID();
    const modified = Number.isSafeInteger(lastModified) ? lastModified : 0;
    const metadata = { name: safeFileName(name), type: safeFileType(type), size, lastModified: modified };
    const chunkSize = this.#options.chunkBytes ?? CHUNK_BYTES_MAX;
    const outgoingFile = { id, to, metadata, chunkSize, total: chunksOf(size, chunkSize) };
    const sending = new Sending(outgoingFile, receivers, this.#clock.now(), (peer, signal) => this.#tell(id, peer, signal));
    const users = new Map(receivers.map((peerId) => [peerId, this.#options.userOf(peerId)]));
    const shown = { transfer: null, rate: null };
    const outgoing: Outgoing = {
      kind: 'send',
      id,
      sending,
      source,
      users,
      hash: sha256.create(),
      hashed: 0,
      isHashing: false,
      ...shown,
    };
    this.#outgoing.set(id, outgoing);
    if (this.#link?.isOpen) sending.onOpen(this.#clock.now());
    this.#after(outgoing);
    return id;
  }

  /** Accepts an offer. `sink`: where the file goes instead of the storage. */
  async accept(id: string, sink?: (file: StoredFile) => Promise<FileSink>): Promise<void> {
    const incoming = this.#incoming.get(id);
    if (incoming?.receiving.state !== 'offered' || incoming.isAccepting) return;
    incoming.isAccepting = true;
    const file = this.#storedFile(incoming);
    try {
      const opened = await (sink ? sink(file) : this.#options.storage.open(file));
      incoming.sink = opened;
      incoming.receiving.accept(opened.stored, opened.inOrder);
      // Cancelled while the storage was opened.
      if (incoming.receiving.isEnded) await opened.discard();
    } catch {
      incoming.receiving.fail('STORAGE');
    }
    // A file of no bytes is complete.
    void this.#hashStored(incoming);
    this.#after(incoming);
  }

  decline(id: string): void {
    this.cancel(id);
  }

  pause(id: string): void {
    this.#setPaused(id, true);
  }

  resume(id: string): void {
    this.#setPaused(id, false);
  }

  #setPaused(id: string, paused: boolean): void {
    const entry = this.#entry(id);
    if (entry?.kind === 'send') entry.sending.setPaused(paused);
    if (entry?.kind === 'receive') entry.receiving.setPaused(paused);
    if (entry) this.#after(entry);
  }

  /** Ends a transfer, or declines an offer. */
  cancel(id: string): void {
    const entry = this.#entry(id);
    if (entry?.kind === 'send') entry.sending.cancel('USER');
    if (entry?.kind === 'receive') {
      if (entry.receiving.state === 'offered') entry.receiving.decline('USER');
      else entry.receiving.fail('USER');
    }
    if (entry) this.#after(entry);
  }

  /** A received file. Null while it is not complete, and if it was written elsewhere. */
  result(id: string): File | null {
    const incoming = this.#incoming.get(id);
    if (!incoming?.result) return null;
    const { name, lastModified } = incoming.receiving.metadata;
    return new File([incoming.result], name, { type: incoming.result.type, lastModified });
  }

  /** Forgets a transfer that has ended, and deletes its stored file. */
  async remove(id: string): Promise<void> {
    const entry = this.#entry(id);
    if (!entry || !isEnded(entry)) return;
    this.#outgoing.delete(id);
    this.#incoming.delete(id);
    this.#options.onChange(id, null);
    if (entry.kind === 'receive') await entry.sink?.discard().catch(() => undefined);
  }

  /** Continues the files that an earlier page did not finish. */
  async restore(): Promise<void> {
    for (const file of await this.#options.storage.kept()) {
      if (this.#entry(file.id) || this.#isClosed) continue;
      const sender = this.#senderOf(file);
      const incoming = this.#newIncoming(file.id, sender, file, file.user);
      await this.accept(file.id);
      if (!this.#options.peers().has(sender)) incoming.receiving.onPeerLeft(this.#clock.now());
      this.#after(incoming);
    }
  }

  /** The sender may have another id than when the file was accepted. */
  #senderOf({ peerId, user }: StoredFile): string {
    const peers = this.#options.peers();
    if (peers.has(peerId) || user === '') return peerId;
    return [...peers].find((other) => this.#options.userOf(other) === user) ?? peerId;
  }

  /** The peer may return: its transfers wait for some time. */
  onPeerLeft(peerId: string): void {
    const now = this.#clock.now();
    for (const outgoing of this.#outgoing.values()) outgoing.sending.onPeerLeft(peerId, now);
    for (const { receiving } of this.#incoming.values()) if (receiving.peerId === peerId) receiving.onPeerLeft(now);
    this.#afterAll();
  }

  /** Ends all transfers. What has arrived stays for the next page. */
  close(): void {
    this.#isClosed = true;
    for (const { sending } of this.#outgoing.values()) sending.cancel('USER');
    for (const { sink } of this.#incoming.values()) sink?.release?.();
    this.#stopTick?.();
    this.attach(null);
  }

  #onOpen(): void {
    const now = this.#clock.now();
    for (const { sending } of this.#outgoing.values()) sending.onOpen(now);
    for (const { receiving } of this.#incoming.values()) receiving.onOpen(now);
    this.#afterAll();
  }

  // Messages.

  #tell(id: string, to: string, signal: FileSignal): void {
    if (!this.#link?.isOpen) return;
    const message = encode(id, signal);
    try {
      this.#link.send(message, to);
    } catch {
      // The channel closes: the messages of `onOpen` replace this one.
    }
  }

  #onMessage(from: string, bytes: Uint8Array): void {
    const received = decode(bytes);
    if (!received || received.id === null || this.#isClosed) return;
    const { id, signal } = received;
    const outgoing = this.#outgoingFor(id, from, signal.kind === 'answer' && signal.accepted);
    const incoming = this.#incomingFor(id, from, signal.kind);
    if (signal.kind === 'malformed') {
      if (outgoing) outgoing.sending.fail(from, signal.reason);
      else if (incoming) incoming.receiving.fail(signal.reason);
      else if (signal.reason === 'TOO_LARGE') this.#tell(id, from, { kind: 'answer', accepted: false, reason: 'TOO_LARGE' });
      else this.#tell(id, from, { kind: 'cancel', reason: signal.reason });
    } else if (outgoing) {
      outgoing.sending.onSignal(from, signal, this.#clock.now());
    } else if (incoming) {
      const isTaken = incoming.receiving.onSignal(signal, this.#clock.now());
      if (isTaken && signal.kind === 'chunk') {
        incoming.queue.push(signal);
        void this.#storeQueue(incoming);
      }
      if (signal.kind === 'finalHash') void this.#hashStored(incoming);
    } else if (signal.kind === 'offer' && !this.#entry(id)) {
      this.#onOffer(id, from, signal);
    } else if (signal.kind !== 'cancel' && signal.kind !== 'done') {
      this.#tell(id, from, { kind: 'cancel', reason: 'UNKNOWN_TRANSFER' });
    }
    const entry = outgoing ?? incoming;
    if (entry) this.#after(entry);
  }

  /** The file that this peer receives, also if it received it under another id until now. */
  #outgoingFor(id: string, from: string, isAcceptance: boolean): Outgoing | null {
    const outgoing = this.#outgoing.get(id);
    if (!outgoing) return null;
    const { sending, users } = outgoing;
    if (sending.has(from)) return outgoing;
    if (!isAcceptance) return null;
    const user = this.#options.userOf(from);
    // In a room, everyone knows the id: only the user shows that it is the same receiver.
    const isSame = (peerId: string) =>
      users.get(peerId) === user && (user !== '' || sending.file.to !== null || sending.isGone(peerId));
    const before = sending.open().find(isSame);
    if (before === undefined || !sending.adopt(from, before)) return null;
    users.set(from, user);
    return outgoing;
  }

  /** The file that this peer sends, also if it sent it under another id until now. */
  #incomingFor(id: string, from: string, kind: string): Incoming | null {
    const incoming = this.#incoming.get(id);
    if (!incoming) return null;
    const { receiving, user } = incoming;
    if (receiving.peerId === from) return incoming;
    const isSame = !receiving.isEnded && this.#options.userOf(from) === user && (user !== '' || !receiving.toRoom);
    if (!isSame || (kind !== 'query' && kind !== 'finalHash')) return null;
    receiving.onPeerMoved(from);
    return incoming;
  }

  #onOffer(id: string, from: string, offer: Offer): void {
    const ofSender = [...this.#incoming.values()]
      .map(({ receiving }) => receiving)
      .filter(({ peerId, isEnded }) => peerId === from && !isEnded);
    const open = ofSender.filter(({ state }) => state === 'offered').length;
    const bytes = ofSender.reduce((sum, { metadata }) => sum + metadata.size, offer.metadata.size);
    if (open >= OFFERS_OPEN_MAX || ofSender.length >= TRANSFERS_PER_SENDER_MAX || bytes > BYTES_PER_SENDER_MAX) {
      this.#tell(id, from, { kind: 'answer', accepted: false, reason: 'QUOTA' });
      return;
    }
    const { name, type, size, lastModified } = offer.metadata;
    const metadata = { name: safeFileName(name), type: safeFileType(type), size, lastModified };
    this.#after(this.#newIncoming(id, from, { ...offer, metadata }, this.#options.userOf(from)));
  }

  #newIncoming(id: string, from: string, offer: Omit<Offer, 'kind'>, user: string): Incoming {
    const receiving = new Receiving(id, from, offer, this.#clock.now(), (peer, signal) => this.#tell(id, peer, signal));
    const idle = { queue: [], isStoring: false, isAccepting: false, sink: null, result: null };
    const hashing = { hash: sha256.create(), hashed: 0, isHashing: false };
    const incoming: Incoming = { kind: 'receive', id, receiving, user, ...idle, ...hashing, transfer: null, rate: null };
    this.#incoming.set(id, incoming);
    return incoming;
  }

  #storedFile({ id, receiving, user }: Incoming): StoredFile {
    const { peerId, metadata, chunkSize, total, toRoom } = receiving;
    return { id, peerId, user, metadata, chunkSize, total, toRoom };
  }

  // Sending.

  /** Sends chunks, one from each file in turn, until the channel has enough of them. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#link?.isOpen && this.#link.bufferedAmount < BUFFER_HIGH_BYTES) {
      const job = this.#pickFile();
      if (!job) break;
      await this.#sendChunk(this.#link, job.outgoing, job.sequence, job.to);
    }
    this.#isPumping = false;
  }

  #pickFile(): { outgoing: Outgoing; sequence: number; to: string | null } | null {
    const files = [...this.#outgoing.values()];
    for (let step = 0; step < files.length; step++) {
      const outgoing = files[(this.#turn + step) % files.length] as Outgoing;
      const pick = outgoing.sending.pick(this.#options.peers());
      if (!pick) continue;
      this.#turn = (this.#turn + step + 1) % files.length;
      return { outgoing, ...pick };
    }
    return null;
  }

  async #sendChunk(link: FileLink, outgoing: Outgoing, sequence: number, to: string | null): Promise<void> {
    const { sending, id } = outgoing;
    try {
      const data = await this.#read(outgoing, sequence);
      if (sequence === outgoing.hashed && !outgoing.isHashing) {
        outgoing.hash.update(data);
        outgoing.hashed += 1;
      }
      const checksum = await this.#digest(data);
      // What is not sent because the channel was lost meanwhile is reported as missing over the next one.
      if (this.#link !== link || !link.isOpen || sending.isEnded) return;
      link.send(encode(id, { kind: 'chunk', sequence, total: sending.file.total, data, checksum }), to);
    } catch (error) {
      if (!(error instanceof SourceError)) return;
      sending.cancel('SOURCE');
      this.#after(outgoing);
    }
  }

  async #read({ sending, source }: Outgoing, sequence: number): Promise<Uint8Array<ArrayBuffer>> {
    const { chunkSize, metadata } = sending.file;
    const length = chunkLength(sequence, metadata.size, chunkSize);
    const start = sequence * chunkSize;
    const data = await source.read(start, start + length).catch((cause: unknown) => {
      throw new SourceError(String(cause));
    });
    if (data.length !== length) throw new SourceError(`${data.length} bytes instead of ${length}`);
    return data;
  }

  /** Hashes what was not hashed while it was sent. */
  async #finishHash(outgoing: Outgoing): Promise<void> {
    if (outgoing.isHashing) return;
    outgoing.isHashing = true;
    const { sending } = outgoing;
    try {
      for (; outgoing.hashed < sending.file.total && !sending.isEnded; outgoing.hashed++) {
        outgoing.hash.update(await this.#read(outgoing, outgoing.hashed));
      }
      if (!sending.isEnded) sending.setHash(outgoing.hash.digest(), this.#clock.now());
    } catch {
      sending.cancel('SOURCE');
    }
    this.#after(outgoing);
  }

  // Receiving.

  /** Checks and stores chunks, one after the other. */
  async #storeQueue(incoming: Incoming): Promise<void> {
    if (incoming.isStoring) return;
    incoming.isStoring = true;
    const { queue, receiving } = incoming;
    for (let chunk = queue.shift(); chunk && !receiving.isEnded; chunk = queue.shift()) {
      try {
        receiving.onChunkFinished(chunk.sequence, await this.#store(incoming, chunk));
      } catch {
        receiving.fail('STORAGE');
      }
      void this.#hashStored(incoming);
      this.#after(incoming);
    }
    queue.length = 0;
    incoming.isStoring = false;
  }

  async #store({ sink }: Incoming, { sequence, data, checksum }: WireChunk): Promise<'stored' | 'dropped' | 'corrupt'> {
    if (!sameBytes(await this.#digest(data), checksum)) return 'corrupt';
    return (await sink?.write(sequence, data)) ? 'stored' : 'dropped';
  }

  /** Hashes the stored chunks in order. At the end it compares the hash. */
  async #hashStored(incoming: Incoming): Promise<void> {
    const { receiving, hash, sink } = incoming;
    if (incoming.isHashing || !sink) return;
    incoming.isHashing = true;
    try {
      for (; !receiving.isEnded && receiving.stored?.has(incoming.hashed); incoming.hashed++) {
        const data = await sink.read(incoming.hashed);
        hash.update(data);
        await sink.append?.(incoming.hashed, data);
      }
      const finalHash = incoming.hashed === receiving.total ? receiving.finalHash : null;
      // It stays `isHashing`: a hash is read once.
      if (finalHash) await this.#complete(incoming, finalHash);
      else incoming.isHashing = false;
    } catch {
      receiving.fail('STORAGE');
    }
    this.#after(incoming);
  }

  async #complete(incoming: Incoming, finalHash: Uint8Array): Promise<void> {
    const isRight = sameBytes(incoming.hash.digest(), finalHash);
    if (isRight) incoming.result = (await incoming.sink?.finish()) ?? null;
    incoming.receiving.onHash(isRight);
  }

  // What follows a change.

  #entry(id: string): Outgoing | Incoming | undefined {
    return this.#outgoing.get(id) ?? this.#incoming.get(id);
  }

  #after(entry: Outgoing | Incoming): void {
    if (this.#isClosed) return;
    if (entry.kind === 'send' && entry.sending.needsHash) void this.#finishHash(entry);
    this.#show(entry, false);
    void this.#pump();
    this.#stopTick ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  #afterAll(): void {
    for (const entry of this.#entries()) this.#after(entry);
  }

  #entries(): (Outgoing | Incoming)[] {
    return [...this.#outgoing.values(), ...this.#incoming.values()];
  }

  #tick(): void {
    this.#stopTick = null;
    const now = this.#clock.now();
    const isOpen = this.#link?.isOpen ?? false;
    for (const entry of this.#entries()) {
      if (isEnded(entry)) continue;
      if (entry.kind === 'send') entry.sending.onTimeout(now, isOpen);
      else entry.receiving.onTimeout(now, isOpen);
      this.#show(entry, true);
    }
    void this.#pump();
    if (this.#entries().some((entry) => !isEnded(entry))) this.#stopTick ??= this.#clock.after(TICK_MS, () => this.#tick());
  }

  /** Progress is shown with each tick; another state at once. */
  #show(entry: Outgoing | Incoming, isTick: boolean): void {
    const before = entry.transfer;
    const view = entry.kind === 'send' ? entry.sending.view() : entry.receiving.view();
    const receivers = entry.kind === 'send' && entry.sending.file.to === null ? entry.sending.view().receivers : undefined;
    const isReceiverChanged = receivers?.some(({ state }, at) => state !== before?.receivers?.[at]?.state) ?? false;
    if (!isTick && before?.state === view.state && !isReceiverChanged) return;
    const { state, bytes, errorCode } = view;
    if (isTick) entry.rate = state === 'active' ? rateAfter(entry.rate, this.#clock.now(), bytes) : null;
    const rate = state === 'active' ? (entry.rate?.value ?? 0) : 0;
    if (before && before.state === state && before.bytes === bytes && before.rate === rate && !isReceiverChanged) return;
    const { direction, peerId, metadata } =
      entry.kind === 'send'
        ? { direction: 'send' as const, peerId: this.#receiverOf(entry), metadata: entry.sending.file.metadata }
        : { direction: 'receive' as const, peerId: entry.receiving.peerId, metadata: entry.receiving.metadata };
    const error = fileErrorText(errorCode, direction);
    const failure = errorCode === undefined ? {} : { errorCode, ...(error === undefined ? {} : { error }) };
    entry.transfer = {
      id: entry.id,
      peerId,
      direction,
      metadata,
      state,
      bytes,
      rate,
      ...failure,
      ...(receivers ? { receivers } : {}),
    };
    if (isEnded(entry)) this.#onEnd(entry);
    this.#options.onChange(entry.id, entry.transfer);
  }

  /** The receiver under its present id. */
  #receiverOf({ sending }: Outgoing): string | null {
    return sending.file.to === null ? null : (sending.view().receivers[0]?.peerId ?? sending.file.to);
  }

  #onEnd(entry: Outgoing | Incoming): void {
    if (entry.kind === 'receive' && entry.receiving.state !== 'done') void entry.sink?.discard().catch(() => undefined);
    // A file that arrived is the user's: what others send never removes it.
    const ended = this.#entries().filter((other) => isEnded(other) && !(other.kind === 'receive' && other.result));
    for (const { id } of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) void this.remove(id);
  }
}

/** The sender's file cannot be read. */
class SourceError extends Error {}

function isEnded(entry: Outgoing | Incoming): boolean {
  return entry.kind === 'send' ? entry.sending.isEnded : entry.receiving.isEnded;
}
