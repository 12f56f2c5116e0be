// The types of file transfer, as applications see them. `sequence` of a chunk starts at 0, `total` counts chunks, and
// `checksum` is the SHA-256 of `data` in lower-case hex.

/** What an offer says about a file. */
export interface FileMetadata {
  name: string;
  type: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since the epoch. */
  lastModified: number;
}

/** One part of a file. */
export interface FileChunk {
  /** Of the transfer. */
  id: string;
  sequence: number;
  total: number;
  data: ArrayBuffer;
  checksum: string;
}

/** Why a transfer has failed, was declined or cancelled. `error` of the transfer has a sentence for each. */
export type FileErrorCode =
  | 'USER'
  | 'QUOTA'
  | 'TOO_LARGE'
  | 'UNKNOWN_TRANSFER'
  | 'PROTOCOL'
  | 'STORAGE'
  | 'SOURCE'
  | 'WRONG_HASH'
  | 'CORRUPT'
  | 'TIMEOUT'
  | 'PEER_LEFT';

/** One receiver of a file to the room. */
export interface FileReceiver {
  peerId: string;
  state: FileTransferState;
  /** Bytes that it has confirmed. */
  bytes: number;
  errorCode?: FileErrorCode;
}

/** The state of a file transfer. */
export type FileTransferState = 'offered' | 'active' | 'paused' | 'done' | 'declined' | 'cancelled' | 'failed';

/** A file on its way, as an immutable value. */
export interface FileTransfer {
  id: string;
  /** The other peer; null for a file to the whole room. */
  peerId: string | null;
  direction: 'send' | 'receive';
  metadata: FileMetadata;
  state: FileTransferState;
  /** Bytes that have arrived; of a file to the room, at the slowest receiver. */
  bytes: number;
  /** Bytes per second, smoothed; 0 while nothing arrives. */
  rate: number;
  /** For the user, if the transfer failed. */
  error?: string;
  errorCode?: FileErrorCode;
  /** Of a file to the room. */
  receivers?: readonly FileReceiver[];
}
