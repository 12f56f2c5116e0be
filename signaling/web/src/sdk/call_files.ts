// File transfer in a call, as applications use it. The transfers are in `CallView.fileTransfers`.

import type { CallData } from './data';
import type { FileSource } from './files/file_source';
import type { FileSink, StoredFile } from './files/file_storage';
import type { FileMetadata } from './files/types';

/** Sends and receives files in a call. The transfers are in `CallView.fileTransfers`. */
export class CallFiles {
  readonly #data: CallData;

  /** @internal */
  constructor(data: CallData) {
    this.#data = data;
  }

  /**
   * Offers a file to a peer, or with null to all peers that are in the room now. Returns the id of the transfer. Throws a
   * `WebRTCError`: `PERMISSION_DENIED` without the permission `canPublishData`, or a `FileTransferError`.
   */
  send(file: File, to: string | null): string;
  send(source: FileSource, to: string | null, metadata: Omit<FileMetadata, 'size'>): string;
  send(file: File | FileSource, to: string | null, metadata?: Omit<FileMetadata, 'size'>): string {
    this.#data.demandPermission();
    const { transfers } = this.#data;
    return file instanceof Blob ? transfers.send(file as File, to) : transfers.send(file, to, metadata as FileMetadata);
  }

  /** Accepts an offer. `sink`: where the file goes instead of the storage of the browser. The answer needs `canPublishData`. */
  async accept(id: string, sink?: (file: StoredFile) => Promise<FileSink>): Promise<void> {
    this.#data.demandPermission();
    await this.#data.transfers.accept(id, sink);
  }

  decline(id: string): void {
    this.#data.transfers.decline(id);
  }

  pause(id: string): void {
    this.#data.transfers.pause(id);
  }

  resume(id: string): void {
    this.#data.transfers.resume(id);
  }

  /** Ends a transfer, or declines an offer. */
  cancel(id: string): void {
    this.#data.transfers.cancel(id);
  }

  /** A received file. Null while it is not complete, and if it was written elsewhere. */
  result(id: string): File | null {
    return this.#data.transfers.result(id);
  }

  /** Forgets a transfer that has ended, and deletes its stored file. */
  remove(id: string): Promise<void> {
    return this.#data.transfers.remove(id);
  }
}
