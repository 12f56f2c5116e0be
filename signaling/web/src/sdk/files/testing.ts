// Helpers for tests of file transfer.

import { createHash } from 'node:crypto';
import type { FileLink, FileLinkEvents } from './file_link';
import type { FileSource } from './file_source';
import { type FileSink, type FileStorage, MemorySink, type StoredFile } from './file_storage';
import { FileTransfers, type FileTransfersOptions } from './file_transfers';
import { decode, encode } from './file_wire';
import type { Directory, OpfsOptions, StoredHandle } from './opfs_storage';
import type { FileTransfer } from './types';

/** Numbers from 0 to 1 that a seed determines (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that a seed determines. */
export function randomBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >>> 2);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  for (let at = words.length * 4; at < length; at++) bytes[at] = at + seed;
  return bytes;
}

/** How the path of each message is. */
export interface PathOptions {
  /** The part of messages that is lost, from 0 to 1. */
  loss?: number;
  /** The part of messages that takes longer than later ones. */
  reorder?: number;
  /** The part of chunks that arrives with another byte. */
  corrupt?: number;
  latencyMs?: number;
  /** Of each peer. */
  bytesPerMs?: number;
}

/** Peers of a room in virtual time: links over a path that loses, reorders, changes and cuts. A seed repeats it. */
export class SimulatedRoom {
  now = 0;
  readonly seed: number;
  path: Required<PathOptions>;
  readonly links = new Map<string, SimulatedLink>();
  /** Every message that a peer sent: for counts. */
  readonly sent: { from: string; to: string | null; message: Uint8Array }[] = [];
  readonly #random: () => number;
  /** The next event is last. */
  readonly #events: { at: number; order: number; run: () => void }[] = [];
  #order = 0;

  constructor(seed: number, path: PathOptions = {}) {
    this.seed = seed;
    this.path = { loss: 0, reorder: 0, corrupt: 0, latencyMs: 20, bytesPerMs: 4_000, ...path };
    this.#random = random(seed);
  }

  readonly clock = {
    now: () => this.now,
    after: (ms: number, run: () => void) => {
      let isStopped = false;
      this.at(ms, () => isStopped || run());
      return () => {
        isStopped = true;
      };
    },
  };

  at(inMs: number, run: () => void): void {
    const event = { at: this.now + inMs, order: this.#order++, run };
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#events[middle] as typeof event;
      if (other.at > event.at || (other.at === event.at && other.order > event.order)) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  join(peerId: string): SimulatedLink {
    const link = new SimulatedLink(this, peerId);
    this.links.set(peerId, link);
    return link;
  }

  /** The others of a peer. */
  others(peerId: string): Set<string> {
    return new Set([...this.links.keys()].filter((id) => id !== peerId));
  }

  chance(part: number): boolean {
    return part > 0 && this.#random() < part;
  }

  /** A random number below `below`. */
  below(below: number): number {
    return Math.floor(this.#random() * below);
  }

  /** Runs until the condition holds; throws if it does not within the time. */
  async until(condition: () => boolean, limitMs = 3_600_000): Promise<void> {
    const end = this.now + limitMs;
    await settled();
    while (!condition()) {
      const event = this.#events.pop();
      if (!event || event.at > end) throw new Error(`the condition does not hold after ${this.now} ms, seed ${this.seed}`);
      this.now = event.at;
      event.run();
      await settled();
    }
  }

  async forMs(ms: number): Promise<void> {
    let isOver = false;
    this.at(ms, () => {
      isOver = true;
    });
    await this.until(() => isOver);
  }
}

/** All promises that wait for no timer and no I/O are settled. */
function settled(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

export class SimulatedLink implements FileLink {
  isOpen = true;
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  /** The largest `bufferedAmount` so far. */
  bufferedMax = 0;
  readonly peerId: string;
  readonly #room: SimulatedRoom;
  #events: FileLinkEvents | null = null;
  /** What was sent before the last cut does not arrive. */
  #life = 0;
  #freeAt = 0;

  constructor(room: SimulatedRoom, peerId: string) {
    this.#room = room;
    this.peerId = peerId;
  }

  listen(events: FileLinkEvents | null): void {
    this.#events = events;
  }

  send(message: Uint8Array<ArrayBuffer>, to: string | null): void {
    if (!this.isOpen) throw new Error('the channel is closed');
    const room = this.#room;
    const life = this.#life;
    room.sent.push({ from: this.peerId, to, message });
    this.bufferedAmount += message.length;
    this.bufferedMax = Math.max(this.bufferedMax, this.bufferedAmount);
    this.#freeAt = Math.max(this.#freeAt, room.now) + message.length / room.path.bytesPerMs;
    room.at(this.#freeAt - room.now, () => {
      if (life !== this.#life) return;
      const before = this.bufferedAmount;
      this.bufferedAmount -= message.length;
      const threshold = this.bufferedAmountLowThreshold;
      if (before > threshold && this.bufferedAmount <= threshold) this.#events?.onLow();
      for (const peerId of to === null ? room.others(this.peerId) : [to]) this.#forward(message, peerId, life);
    });
  }

  #forward(message: Uint8Array<ArrayBuffer>, to: string, life: number): void {
    const room = this.#room;
    if (room.chance(room.path.loss)) return;
    const delay = room.path.latencyMs * (room.chance(room.path.reorder) ? 1 + 3 * (room.below(1_000) / 1_000) : 1);
    const arrives = room.chance(room.path.corrupt) ? corrupted(message) : message;
    room.at(delay, () => {
      const link = room.links.get(to);
      if (life === this.#life && link?.isOpen) link.#events?.onMessage(this.peerId, arrives);
    });
  }

  /** Loses what is on the way. */
  cut(): void {
    this.isOpen = false;
    this.#life += 1;
    this.bufferedAmount = 0;
    this.#freeAt = 0;
    this.#events?.onClosed();
  }

  restore(): void {
    this.isOpen = true;
    this.#events?.onOpen();
  }

  /** Arrives at once, as if another peer had sent it. */
  receive(from: string, message: Uint8Array): void {
    this.#events?.onMessage(from, message);
  }
}

/** A chunk with another byte; other messages as they are. */
function corrupted(message: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const received = decode(message);
  if (received?.id == null || received.signal.kind !== 'chunk') return message;
  const data = received.signal.data.slice();
  data[data.length >>> 1] = (data[data.length >>> 1] ?? 0) ^ 1;
  return encode(received.id, { ...received.signal, data });
}

/** A file in memory that counts its reads. */
export class CountedSource implements FileSource {
  reads = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    this.reads += 1;
    return this.#bytes.subarray(start, end);
  }
}

/** A storage in memory that keeps files for the next page. `sizeMax`: larger files have no room. */
export class KeepingStorage implements FileStorage {
  readonly sinks = new Map<string, { file: StoredFile; sink: KeptSink }>();
  readonly sizeMax: number;

  constructor(sizeMax = Number.POSITIVE_INFINITY) {
    this.sizeMax = sizeMax;
  }

  async open(file: StoredFile): Promise<FileSink> {
    if (file.metadata.size > this.sizeMax) throw new Error('no room');
    const sink = new KeptSink(file.total, () => this.sinks.delete(file.id), this.sinks.get(file.id)?.sink);
    this.sinks.set(file.id, { file, sink });
    return sink;
  }

  async kept(): Promise<StoredFile[]> {
    return [...this.sinks.values()].map(({ file }) => file);
  }
}

class KeptSink extends MemorySink {
  /** The chunks that the next page has. */
  readonly chunks = new Map<number, Uint8Array<ArrayBuffer>>();
  readonly #forget: () => void;

  constructor(total: number, forget: () => void, before?: KeptSink) {
    super(total);
    this.#forget = forget;
    for (const [sequence, data] of before?.chunks ?? []) {
      this.stored.add(sequence);
      void this.write(sequence, data);
    }
  }

  override async write(sequence: number, data: Uint8Array<ArrayBuffer>): Promise<boolean> {
    this.chunks.set(sequence, data);
    return super.write(sequence, data);
  }

  override async discard(): Promise<void> {
    this.#forget();
    await super.discard();
  }
}

/** A client of a simulated room. */
export class SimulatedClient {
  readonly shown = new Map<string, FileTransfer>();
  /** States of each transfer, in order. */
  readonly states: string[] = [];
  readonly transfers: FileTransfers;
  readonly link: SimulatedLink;
  readonly peerId: string;
  #next = 0;

  constructor(room: SimulatedRoom, peerId: string, options: Partial<FileTransfersOptions> = {}) {
    this.peerId = peerId;
    this.link = room.join(peerId);
    this.transfers = new FileTransfers({
      peers: () => room.others(peerId),
      // A client that returns is the same user: "bob" and "bob-2".
      userOf: (other) => other.split('-')[0] ?? '',
      storage: new KeepingStorage(),
      clock: room.clock,
      newId: () => `${peerId}-file-${String(this.#next++).padStart(16, '0')}`,
      digest: async (data) => new Uint8Array(createHash('sha256').update(data).digest()),
      onChange: (id, transfer) => {
        if (!transfer) this.shown.delete(id);
        else {
          if (this.shown.get(id)?.state !== transfer.state) this.states.push(transfer.state);
          this.shown.set(id, transfer);
        }
      },
      ...options,
    });
    this.transfers.attach(this.link);
  }

  /** Offers bytes. */
  offer(bytes: Uint8Array<ArrayBuffer>, to: string | null, name = 'file.bin'): string {
    return this.transfers.send(new CountedSource(bytes), to, { name, type: 'text/plain', lastModified: 1 });
  }

  stateOf(id: string): string | undefined {
    return this.shown.get(id)?.state;
  }

  /** SHA-256 of a received file. */
  async hashOf(id: string): Promise<string> {
    const file = this.transfers.result(id);
    if (!file) throw new Error(`${this.peerId} has no file ${id}: ${this.stateOf(id)}`);
    return hashOf(new Uint8Array(await file.arrayBuffer()));
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A directory in memory. As in browsers, a write is visible when it is closed, and lost with the page otherwise. */
export class MemoryDirectory implements Directory {
  readonly files = new Map<string, Blob>();
  readonly directories = new Map<string, MemoryDirectory>();

  async getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<MemoryDirectory> {
    const found = this.directories.get(name);
    if (found) return found;
    if (!options?.create) throw new DOMException(name, 'NotFoundError');
    const made = new MemoryDirectory();
    this.directories.set(name, made);
    return made;
  }

  async getFileHandle(name: string, options?: { create?: boolean }): Promise<StoredHandle> {
    if (!this.files.has(name)) {
      if (!options?.create) throw new DOMException(name, 'NotFoundError');
      this.files.set(name, new Blob());
    }
    const { files } = this;
    return {
      async getFile() {
        return files.get(name) ?? new Blob();
      },
      async createWritable() {
        const parts: (Blob | string)[] = [];
        return {
          write: async (data) => void parts.push(data),
          close: async () => void files.set(name, new Blob(parts)),
          abort: async () => undefined,
        };
      },
    };
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.files.delete(name) && !this.directories.delete(name)) throw new DOMException(name, 'NotFoundError');
  }

  async *keys(): AsyncIterable<string> {
    yield* [...this.files.keys(), ...this.directories.keys()];
  }
}

/** A private file system in memory, for several pages. */
export function memoryOpfs(rest: Partial<OpfsOptions> = {}): OpfsOptions & { directory: MemoryDirectory; locks: Set<string> } {
  const directory = new MemoryDirectory();
  const locks = new Set<string>();
  return {
    directory,
    locks,
    root: async () => directory,
    now: () => 0,
    free: async () => Number.POSITIVE_INFINITY,
    lock: async (id) => {
      if (locks.has(id)) return null;
      locks.add(id);
      return async () => {
        // As in Firefox, it is free a little later.
        await settled();
        locks.delete(id);
      };
    },
    ...rest,
  };
}
