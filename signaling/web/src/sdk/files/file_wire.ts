// The messages of `proto/file.proto` as plain values. A message comes from another person: what breaks the protocol in
// itself is refused here, before anything is allocated for it. Pure.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileMessageSchema, type FileMessage as Message, type MissingRanges as MissingMessage, Reason } from '../../gen/file_pb';
import { CHUNK_BYTES_MAX, CHUNKS_MAX, FILE_BYTES_MAX, MESSAGE_BYTES_MAX, RANGES_MAX } from './limits';
import type { FileChunk, FileErrorCode, FileMetadata } from './types';

/** Chunks from `start`, `end` excluded. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What a receiver has: all below `next`, and from there to `end` all but `ranges`. */
export interface Missing {
  readonly next: number;
  readonly end: number;
  readonly ranges: readonly Range[];
}

export interface Offer {
  readonly kind: 'offer';
  readonly metadata: FileMetadata;
  readonly chunkSize: number;
  readonly total: number;
  readonly toRoom: boolean;
}

export interface WireChunk {
  readonly kind: 'chunk';
  readonly sequence: number;
  readonly total: number;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly checksum: Uint8Array;
}

export type FileSignal =
  | Offer
  | { readonly kind: 'answer'; readonly accepted: true; readonly missing: Missing; readonly inOrder: boolean }
  | { readonly kind: 'answer'; readonly accepted: false; readonly reason: FileErrorCode }
  | WireChunk
  | { readonly kind: 'missing'; readonly missing: Missing; readonly paused: boolean; readonly query: number }
  | { readonly kind: 'query'; readonly number: number; readonly paused: boolean }
  | { readonly kind: 'pause'; readonly paused: boolean }
  | { readonly kind: 'cancel'; readonly reason: FileErrorCode }
  | { readonly kind: 'finalHash'; readonly sha256: Uint8Array }
  | { readonly kind: 'done' };

/** `id` is null when the message has no valid one. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly reason: FileErrorCode;
  /** For logs. */
  readonly text: string;
}

export interface Received {
  readonly id: string | null;
  readonly signal: FileSignal | Malformed;
}

const HASH_BYTES = 32;
const TYPE_LENGTH_MAX = 255;
const ID = /^[A-Za-z0-9_-]{16,64}$/;

export function isTransferId(id: string): boolean {
  return ID.test(id);
}

export function encode(id: string, signal: FileSignal): Uint8Array<ArrayBuffer> {
  return toBinary(FileMessageSchema, create(FileMessageSchema, { id, payload: payloadOf(signal) }));
}

function payloadOf(signal: FileSignal): NonNullable<Parameters<typeof create<typeof FileMessageSchema>>[1]>['payload'] {
  switch (signal.kind) {
    case 'offer': {
      const { name, type, size, lastModified } = signal.metadata;
      const metadata = { name, type, size: BigInt(size), lastModified: BigInt(Math.trunc(lastModified)) };
      return { case: 'offer', value: { metadata, chunkSize: signal.chunkSize, total: signal.total, toRoom: signal.toRoom } };
    }
    case 'answer':
      return signal.accepted
        ? { case: 'answer', value: { accepted: true, missing: mutable(signal.missing), inOrder: signal.inOrder } }
        : { case: 'answer', value: { accepted: false, reason: reasonTo(signal.reason) } };
    case 'chunk': {
      const { sequence, total, data, checksum } = signal;
      return { case: 'chunk', value: { sequence, total, data, checksum } };
    }
    case 'missing':
      return { case: 'missingRanges', value: { ...mutable(signal.missing), paused: signal.paused, query: signal.query } };
    case 'query':
      return { case: 'query', value: { number: signal.number, paused: signal.paused } };
    case 'pause':
      return { case: 'pause', value: { paused: signal.paused } };
    case 'cancel':
      return { case: 'cancel', value: { reason: reasonTo(signal.reason) } };
    case 'finalHash':
      return { case: 'finalHash', value: { sha256: signal.sha256 } };
    case 'done':
      return { case: 'done', value: {} };
  }
}

function mutable({ next, end, ranges }: Missing) {
  return { next, end, ranges: ranges.map(({ start, end }) => ({ start, end })) };
}

/** Null for a message of a later version, which is ignored. */
export function decode(bytes: Uint8Array): Received | null {
  if (bytes.length > MESSAGE_BYTES_MAX) return malformed(null, `a message of ${bytes.length} bytes`);
  let message: Message;
  try {
    message = fromBinary(FileMessageSchema, bytes);
  } catch {
    return malformed(null, 'not a FileMessage');
  }
  const { id } = message;
  if (!isTransferId(id)) return malformed(null, 'an invalid transfer id');
  const signal = signalOf(message);
  if (signal === null) return null;
  return { id, signal: typeof signal === 'string' ? { kind: 'malformed', reason: 'PROTOCOL', text: signal } : signal };
}

function malformed(id: string | null, text: string): Received {
  return { id, signal: { kind: 'malformed', reason: 'PROTOCOL', text } };
}

/** A string says what is wrong. */
function signalOf({ payload }: Message): FileSignal | Malformed | string | null {
  switch (payload.case) {
    case 'offer':
      return offerOf(payload.value);
    case 'answer': {
      const { accepted, reason, inOrder } = payload.value;
      if (!accepted) return { kind: 'answer', accepted, reason: reasonOf(reason) };
      const missing = missingOf(payload.value.missing);
      return typeof missing === 'string' ? missing : { kind: 'answer', accepted, missing, inOrder };
    }
    case 'chunk': {
      const { sequence, total, data, checksum } = payload.value;
      if (sequence >= total) return `chunk ${sequence} of ${total}`;
      if (data.length === 0 || data.length > CHUNK_BYTES_MAX) return `a chunk of ${data.length} bytes`;
      if (checksum.length !== HASH_BYTES) return `a checksum of ${checksum.length} bytes`;
      // A copy: `data` is a view of the message, and may be given to other threads.
      return { kind: 'chunk', sequence, total, data: new Uint8Array(data), checksum };
    }
    case 'missingRanges': {
      const missing = missingOf(payload.value);
      const { paused, query } = payload.value;
      return typeof missing === 'string' ? missing : { kind: 'missing', missing, paused, query };
    }
    case 'query':
      return { kind: 'query', number: payload.value.number, paused: payload.value.paused };
    case 'pause':
      return { kind: 'pause', paused: payload.value.paused };
    case 'cancel':
      return { kind: 'cancel', reason: reasonOf(payload.value.reason) };
    case 'finalHash': {
      const { sha256 } = payload.value;
      return sha256.length === HASH_BYTES ? { kind: 'finalHash', sha256 } : `a hash of ${sha256.length} bytes`;
    }
    case 'done':
      return { kind: 'done' };
    case undefined:
      return null;
  }
}

function offerOf(offer: Extract<Message['payload'], { case: 'offer' }>['value']): Offer | Malformed | string {
  const { metadata, chunkSize, total, toRoom } = offer;
  if (!metadata) return 'an offer without metadata';
  if (chunkSize < 1 || chunkSize > CHUNK_BYTES_MAX) return `chunks of ${chunkSize} bytes`;
  const { size, lastModified } = metadata;
  if (size > BigInt(FILE_BYTES_MAX)) return { kind: 'malformed', reason: 'TOO_LARGE', text: `a file of ${size} bytes` };
  if (total !== chunksOf(Number(size), chunkSize)) return `${total} chunks of ${chunkSize} bytes for a file of ${size} bytes`;
  if (total > CHUNKS_MAX) return { kind: 'malformed', reason: 'TOO_LARGE', text: `${total} chunks` };
  const type = metadata.type.length > TYPE_LENGTH_MAX ? '' : metadata.type;
  // A date outside of what `Date` represents is replaced.
  const modified = Math.abs(Number(lastModified)) <= 8.64e15 ? Number(lastModified) : 0;
  return {
    kind: 'offer',
    metadata: { name: metadata.name, type, size: Number(size), lastModified: modified },
    chunkSize,
    total,
    toRoom,
  };
}

function missingOf(message: MissingMessage | undefined): Missing | string {
  if (!message) return 'an answer without ranges';
  const { next, end, ranges } = message;
  if (ranges.length > RANGES_MAX) return `${ranges.length} ranges`;
  let after = next;
  for (const range of ranges) {
    if (range.start < after || range.end <= range.start) return 'ranges that are empty or not in order';
    after = range.end;
  }
  if (end < after) return 'ranges beyond their end';
  return { next, end, ranges: ranges.map(({ start, end }) => ({ start, end })) };
}

/** The number of chunks of a file. */
export function chunksOf(size: number, chunkSize: number): number {
  return Math.ceil(size / chunkSize);
}

/** The length of one chunk. */
export function chunkLength(sequence: number, size: number, chunkSize: number): number {
  return Math.min(chunkSize, size - sequence * chunkSize);
}

/** A chunk of the wire as the API has it. */
export function toFileChunk(id: string, { sequence, total, data, checksum }: WireChunk): FileChunk {
  return { id, sequence, total, data: data.slice().buffer, checksum: hexOf(checksum) };
}

/** A chunk of the API as the wire has it. Throws if its checksum is no SHA-256 in lower-case hex. */
export function toWireChunk({ sequence, total, data, checksum }: FileChunk): WireChunk {
  if (!/^[0-9a-f]{64}$/.test(checksum)) throw new Error('The checksum of a chunk is SHA-256 in lower-case hex.');
  const bytes = Uint8Array.from({ length: HASH_BYTES }, (_, at) => Number.parseInt(checksum.slice(2 * at, 2 * at + 2), 16));
  return { kind: 'chunk', sequence, total, data: new Uint8Array(data), checksum: bytes };
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** A code of a later version counts as a failure of the other side. */
function reasonOf(reason: Reason): FileErrorCode {
  switch (reason) {
    case Reason.USER:
    case Reason.QUOTA:
    case Reason.TOO_LARGE:
    case Reason.UNKNOWN_TRANSFER:
    case Reason.STORAGE:
    case Reason.SOURCE:
    case Reason.WRONG_HASH:
    case Reason.CORRUPT:
    case Reason.TIMEOUT:
      return Reason[reason] as FileErrorCode;
    default:
      return 'PROTOCOL';
  }
}

function reasonTo(code: FileErrorCode): Reason {
  return code === 'PEER_LEFT' ? Reason.TIMEOUT : Reason[code];
}
