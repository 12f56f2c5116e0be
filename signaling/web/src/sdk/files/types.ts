// The types of file transfer, as applications see them. `sequence` of a chunk starts at 0, `total` counts chunks, and
// `checksum` is the SHA-256 of `data` in lower-case hex.

export interface FileMetadata {
  name: string;
  type: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since the epoch. */
  lastModified: number;
}

export interface FileChunk {
  /** Of the transfer. */
  id: string;
  sequence: number;
  total: number;
  data: ArrayBuffer;
  checksum: string;
}

export type FileTransferState = 'offered' | 'active' | 'paused' | 'done' | 'declined' | 'cancelled' | 'failed';

/** A file on its way, as an immutable value. */
export interface FileTransfer {
  id: string;
  /** The other peer; null for a file to the whole room. */
  peerId: string | null;
  direction: 'send' | 'receive';
  metadata: FileMetadata;
  state: FileTransferState;
  /** Bytes that have arrived. */
  bytes: number;
  /** Bytes per second. */
  rate: number;
  /** For the user, if the transfer failed. */
  error?: string;
}
