// Where a file is read from. A file larger than memory is read in blocks.

import { READ_BYTES } from './limits';

/** Where a sent file is read. */
export interface FileSource {
  readonly size: number;
  /** The bytes from `start`, `end` excluded. Throws if they cannot be read. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** Reads a blob, or a file on disk, with one block in memory. */
export class BlobSource implements FileSource {
  readonly size: number;
  readonly #blob: Blob;
  #blockAt = 0;
  #block: Uint8Array<ArrayBuffer> = new Uint8Array();

  constructor(blob: Blob) {
    this.#blob = blob;
    this.size = blob.size;
  }

  async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (start < this.#blockAt || end > this.#blockAt + this.#block.length) {
      const block = await this.#blob.slice(start, start + Math.max(READ_BYTES, end - start)).arrayBuffer();
      this.#blockAt = start;
      this.#block = new Uint8Array(block);
    }
    return this.#block.subarray(start - this.#blockAt, end - this.#blockAt);
  }
}
