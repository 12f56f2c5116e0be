// Received files in the private file system of the origin (OPFS). A file is stored in segments, each of which is a file
// of its own: a write of OPFS becomes visible when it is closed, so after a reload the whole segments are there. The
// finished file is a Blob of the segments, which are on disk: nothing is copied.

import { ChunkSet } from './chunk_set';
import { type FileSink, type FileStorage, lengthOf, memoryStorage, RECEIVED_TYPE, type StoredFile } from './file_storage';
import { chunksOf, isTransferId } from './file_wire';
import { CHUNK_BYTES_MAX, CHUNKS_MAX, KEPT_MS_MAX, SEGMENT_CHUNKS, SEGMENTS_OPEN_MAX } from './limits';

/** The part of FileSystemDirectoryHandle that is used. */
export interface Directory {
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<Directory>;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<StoredHandle>;
  removeEntry(name: string, options?: { recursive?: boolean }): Promise<void>;
  keys(): AsyncIterable<string>;
}

export interface StoredHandle {
  getFile(): Promise<Blob>;
  createWritable(): Promise<{ write(data: Blob | string): Promise<void>; close(): Promise<void>; abort(): Promise<void> }>;
}

export type Release = () => Promise<void>;

export interface OpfsOptions {
  root(): Promise<Directory>;
  /** Milliseconds since 1970. */
  now(): number;
  /** Bytes that the origin may still store. */
  free(): Promise<number>;
  /**
   * Only one page has a file. Null if another one has it; otherwise a function that releases it. In some browsers the
   * lock is free only when its promise is fulfilled.
   */
  lock(id: string): Promise<Release | null>;
}

/** The folder of all files; one folder in it for each file. */
const FOLDER = 'leat-files';
/** What is known of a file: `Kept`. */
const RECORD = 'file.json';
/** The segments are "segment-0", "segment-1", … */
const SEGMENT = 'segment-';

interface Kept extends StoredFile {
  readonly createdAt: number;
}

/** In the private file system if the browser has one that can be written; otherwise in memory, up to a size. */
export function browserStorage(): FileStorage {
  const hasOpfs = typeof navigator !== 'undefined' && typeof navigator.storage?.getDirectory === 'function';
  const canWrite = typeof FileSystemFileHandle !== 'undefined' && 'createWritable' in FileSystemFileHandle.prototype;
  return hasOpfs && canWrite ? new OpfsStorage(browserOptions) : memoryStorage;
}

const browserOptions: OpfsOptions = {
  root: async () => (await navigator.storage.getDirectory()) as unknown as Directory,
  now: () => Date.now(),
  free: async () => {
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    return quota - usage;
  },
  lock: (id) =>
    new Promise((done, fail) => {
      const released = navigator.locks.request(`${FOLDER}/${id}`, { ifAvailable: true }, (lock) => {
        if (!lock) return done(null);
        return new Promise<void>((end) => {
          done(() => {
            end();
            return released.then(() => undefined);
          });
        });
      });
      released.catch(fail);
    }),
};

export class OpfsStorage implements FileStorage {
  readonly #options: OpfsOptions;

  constructor(options: OpfsOptions) {
    this.#options = options;
  }

  async open(file: StoredFile): Promise<FileSink> {
    const release = await this.#options.lock(file.id);
    if (!release) throw new Error('Another page of this browser receives the file.');
    try {
      const folder = await this.#folder();
      const directory = await folder.getDirectoryHandle(file.id, { create: true });
      const stored = await storedSegments(directory, file);
      const missing = (file.total - stored.count) * file.chunkSize;
      const free = await this.#options.free();
      if (missing > free) throw new Error(`The file needs ${missing} bytes; this browser has ${free} left for this page.`);
      const record: Kept = { ...file, createdAt: this.#options.now() };
      await write(directory, RECORD, JSON.stringify(record));
      return new OpfsSink(file, directory, stored, release, () => folder.removeEntry(file.id, { recursive: true }));
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** Also deletes what is too old, and what cannot be continued. */
  async kept(): Promise<readonly StoredFile[]> {
    const folder = await this.#folder();
    const names: string[] = [];
    for await (const name of folder.keys()) names.push(name);
    const files: StoredFile[] = [];
    for (const name of names) {
      const release = await this.#options.lock(name);
      if (!release) continue;
      const file = await this.#read(folder, name).catch(() => null);
      if (file && this.#options.now() - file.createdAt <= KEPT_MS_MAX) files.push(file);
      else await folder.removeEntry(name, { recursive: true }).catch(() => undefined);
      await release();
    }
    return files;
  }

  async #folder(): Promise<Directory> {
    return (await this.#options.root()).getDirectoryHandle(FOLDER, { create: true });
  }

  async #read(folder: Directory, name: string): Promise<Kept | null> {
    const record = await (await folder.getDirectoryHandle(name)).getFileHandle(RECORD);
    const kept = JSON.parse(await (await record.getFile()).text()) as Kept;
    const { id, metadata, chunkSize, total } = kept;
    const isValid = id === name && isTransferId(id) && chunkSize > 0 && chunkSize <= CHUNK_BYTES_MAX && total <= CHUNKS_MAX;
    return isValid && total === chunksOf(metadata.size, chunkSize) ? kept : null;
  }
}

/** The chunks of the segments that are whole. */
async function storedSegments(directory: Directory, file: StoredFile): Promise<ChunkSet> {
  const stored = new ChunkSet(file.total);
  for await (const name of directory.keys()) {
    const segment = name.startsWith(SEGMENT) ? Number(name.slice(SEGMENT.length)) : Number.NaN;
    if (!Number.isInteger(segment)) continue;
    const { size } = await (await directory.getFileHandle(name)).getFile();
    const [start, end] = chunksIn(segment, file.total);
    if (start < end && size === bytesIn(file, start, end)) stored.addRange(start, end);
  }
  return stored;
}

class OpfsSink implements FileSink {
  readonly stored: ChunkSet;
  readonly inOrder = false;
  readonly #file: StoredFile;
  readonly #directory: Directory;
  readonly #release: Release;
  readonly #delete: () => Promise<void>;
  /** Segments that are not whole, by number, with their chunks in the order of the file. */
  readonly #open = new Map<number, (Uint8Array<ArrayBuffer> | undefined)[]>();
  /** The last segment that was read. */
  #read: { segment: number; blob: Blob } | null = null;
  #isDiscarded = false;

  constructor(file: StoredFile, directory: Directory, stored: ChunkSet, release: Release, remove: () => Promise<void>) {
    this.#file = file;
    this.#directory = directory;
    this.stored = stored;
    this.#release = release;
    this.#delete = remove;
  }

  async write(sequence: number, data: Uint8Array<ArrayBuffer>): Promise<boolean> {
    if (this.#isDiscarded) return false;
    const segment = Math.floor(sequence / SEGMENT_CHUNKS);
    const [start, end] = chunksIn(segment, this.#file.total);
    let chunks = this.#open.get(segment);
    if (!chunks) {
      if (this.#open.size >= SEGMENTS_OPEN_MAX) return false;
      chunks = Array.from({ length: end - start });
      this.#open.set(segment, chunks);
    }
    chunks[sequence - start] = data;
    const whole = chunks.filter((chunk) => chunk !== undefined);
    if (whole.length < end - start) return true;
    await write(this.#directory, SEGMENT + segment, new Blob(whole));
    this.#open.delete(segment);
    return true;
  }

  async read(sequence: number): Promise<Uint8Array> {
    const segment = Math.floor(sequence / SEGMENT_CHUNKS);
    const start = segment * SEGMENT_CHUNKS;
    const chunk = this.#open.get(segment)?.[sequence - start];
    if (chunk) return chunk;
    if (this.#read?.segment !== segment) this.#read = { segment, blob: await this.#blob(segment) };
    const at = (sequence - start) * this.#file.chunkSize;
    return new Uint8Array(await this.#read.blob.slice(at, at + lengthOf(this.#file, sequence)).arrayBuffer());
  }

  async finish(): Promise<Blob> {
    const segments = Math.ceil(this.#file.total / SEGMENT_CHUNKS);
    const blobs: Blob[] = [];
    for (let segment = 0; segment < segments; segment++) blobs.push(await this.#blob(segment));
    // Without a record, the next page deletes the file.
    await this.#directory.removeEntry(RECORD);
    return new Blob(blobs, { type: RECEIVED_TYPE });
  }

  async discard(): Promise<void> {
    if (this.#isDiscarded) return;
    this.#isDiscarded = true;
    this.#open.clear();
    try {
      await this.#delete();
    } finally {
      await this.#release();
    }
  }

  release(): void {
    if (!this.#isDiscarded) void this.#release();
    this.#isDiscarded = true;
  }

  async #blob(segment: number): Promise<Blob> {
    return (await this.#directory.getFileHandle(SEGMENT + segment)).getFile();
  }
}

/** The chunks of a segment: from, to (excluded). */
function chunksIn(segment: number, total: number): [number, number] {
  return [segment * SEGMENT_CHUNKS, Math.min(total, (segment + 1) * SEGMENT_CHUNKS)];
}

function bytesIn(file: StoredFile, start: number, end: number): number {
  return (end - 1 - start) * file.chunkSize + lengthOf(file, end - 1);
}

async function write(directory: Directory, name: string, data: Blob | string): Promise<void> {
  const stream = await (await directory.getFileHandle(name, { create: true })).createWritable();
  try {
    await stream.write(data);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => undefined);
    throw error;
  }
}
