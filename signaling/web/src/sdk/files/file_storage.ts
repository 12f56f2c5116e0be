// Where a received file is stored while it arrives. `opfs_storage.ts` is the one for files larger than memory.

import { ChunkSet } from './chunk_set';
import { chunkLength } from './file_wire';
import { MEMORY_FILE_BYTES_MAX, UNSTORED_CHUNKS_MAX } from './limits';
import type { FileMetadata } from './types';

/** What is known of a file that arrives. */
export interface StoredFile {
  readonly id: string;
  /** The sender, and its user; the user is empty if it has none. */
  readonly peerId: string;
  readonly user: string;
  readonly metadata: FileMetadata;
  readonly chunkSize: number;
  readonly total: number;
  readonly toRoom: boolean;
}

/** Where a received file is written. */
export interface FileSink {
  /** The chunks of an earlier page. */
  readonly stored: ChunkSet;
  /** The file is written from its first byte to its last. */
  readonly inOrder: boolean;
  /** False if there is no room for this chunk at present. */
  write(sequence: number, data: Uint8Array<ArrayBuffer>): Promise<boolean>;
  /** A chunk that was written. */
  read(sequence: number): Promise<Uint8Array>;
  /** Called with each chunk, in order and once, after it was written. */
  append?(sequence: number, data: Uint8Array): Promise<void>;
  /** Every chunk is written, and the hash is right. Null if the file is elsewhere. */
  finish(): Promise<Blob | null>;
  /** Deletes what was written. */
  discard(): Promise<void>;
  /** The page does not continue; a later one may. */
  release?(): void;
}

/** Where received files and their state are stored. */
export interface FileStorage {
  /** Throws if the file cannot be stored. */
  open(file: StoredFile): Promise<FileSink>;
  /** Unfinished files of an earlier page. */
  kept(): Promise<readonly StoredFile[]>;
}

/** Stops a page from being shown at the address of the application, whatever type the sender chose. */
export const RECEIVED_TYPE = 'application/octet-stream';

/** For small files. */
export class MemorySink implements FileSink {
  readonly stored: ChunkSet;
  readonly inOrder = false;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];

  constructor(total: number) {
    this.stored = new ChunkSet(total);
  }

  async write(sequence: number, data: Uint8Array<ArrayBuffer>): Promise<boolean> {
    this.#chunks[sequence] = data;
    return true;
  }

  async read(sequence: number): Promise<Uint8Array> {
    return this.#chunks[sequence] ?? new Uint8Array();
  }

  async finish(): Promise<Blob> {
    const blob = new Blob(this.#chunks, { type: RECEIVED_TYPE });
    this.#chunks.length = 0;
    return blob;
  }

  async discard(): Promise<void> {
    this.#chunks.length = 0;
  }
}

/** Writes to a stream, for example of a file that the user chose. */
export class StreamSink implements FileSink {
  readonly stored: ChunkSet;
  readonly inOrder = true;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Chunks that wait for an earlier one. */
  readonly #waiting = new Map<number, Uint8Array>();

  constructor(total: number, stream: WritableStream<Uint8Array>) {
    this.stored = new ChunkSet(total);
    this.#writer = stream.getWriter();
  }

  async write(sequence: number, data: Uint8Array): Promise<boolean> {
    // The chunk that is next always has room.
    if (this.#waiting.size >= UNSTORED_CHUNKS_MAX && sequence !== this.stored.next) return false;
    this.#waiting.set(sequence, data);
    return true;
  }

  async read(sequence: number): Promise<Uint8Array> {
    return this.#waiting.get(sequence) ?? new Uint8Array();
  }

  async append(sequence: number, data: Uint8Array): Promise<void> {
    await this.#writer.write(data);
    this.#waiting.delete(sequence);
  }

  async finish(): Promise<null> {
    await this.#writer.close();
    return null;
  }

  async discard(): Promise<void> {
    this.#waiting.clear();
    // A stream that has failed cannot be aborted again.
    await this.#writer.abort().catch(() => undefined);
  }
}

/** Without a private file system: in memory, up to a size. */
export const memoryStorage: FileStorage = {
  async open({ metadata, total }) {
    if (metadata.size > MEMORY_FILE_BYTES_MAX) throw new Error('The file is larger than what is received in memory.');
    return new MemorySink(total);
  },
  async kept() {
    return [];
  },
};

/** The length of a chunk of a file. */
export function lengthOf({ metadata, chunkSize }: StoredFile, sequence: number): number {
  return chunkLength(sequence, metadata.size, chunkSize);
}
