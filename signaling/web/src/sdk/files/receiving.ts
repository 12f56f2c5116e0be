// The state of one file that this client receives. Time is an argument; the driver (`file_transfers.ts`) checks and
// stores the chunks, one after the other, and reports the result here. Pure.

import type { ChunkSet } from './chunk_set';
import { chunkLength, type FileSignal, type Offer, sameBytes, type WireChunk } from './file_wire';
import {
  CONFIRM_CHUNKS,
  CORRUPT_CHUNKS_MAX,
  DUPLICATES_MAX,
  RANGES_MAX,
  RECEIVER_REPEAT_MS,
  RETURN_MS_MAX,
  UNSTORED_CHUNKS_MAX,
} from './limits';
import type { FileErrorCode, FileMetadata, FileTransferState } from './types';

export type ReceivingState = 'offered' | 'active' | 'done' | 'declined' | 'cancelled' | 'failed';

export class Receiving {
  readonly id: string;
  /** The name is safe already. */
  readonly metadata: FileMetadata;
  readonly chunkSize: number;
  readonly total: number;
  readonly toRoom: boolean;
  /** It changes when the sender returns under another id. */
  peerId: string;
  readonly #send: (to: string, signal: FileSignal) => void;
  #state: ReceivingState = 'offered';
  #errorCode: FileErrorCode | undefined;
  #stored: ChunkSet | null = null;
  #inOrder = false;
  /** Chunks that the driver has not stored yet. */
  readonly #pending = new Set<number>();
  /** Chunks that the driver was given, and those that it has finished. */
  #taken = 0;
  #finished = 0;
  #unconfirmed = 0;
  /** A report is due when this many chunks are finished. */
  #reportAt: number | null = null;
  #query = 0;
  #corrupt = 0;
  #duplicates = 0;
  #paused = false;
  #pausedBySender = false;
  #finalHash: Uint8Array | null = null;
  #heardAt: number;
  #goneAt: number | null = null;

  constructor(
    id: string,
    peerId: string,
    offer: Omit<Offer, 'kind'>,
    now: number,
    send: (to: string, signal: FileSignal) => void,
  ) {
    this.id = id;
    this.peerId = peerId;
    this.metadata = offer.metadata;
    this.chunkSize = offer.chunkSize;
    this.total = offer.total;
    this.toRoom = offer.toRoom;
    this.#heardAt = now;
    this.#send = send;
  }

  get state(): ReceivingState {
    return this.#state;
  }

  get isEnded(): boolean {
    return this.#state !== 'offered' && this.#state !== 'active';
  }

  get stored(): ChunkSet | null {
    return this.#stored;
  }

  /** Every chunk is stored and the final hash is known: the driver compares. */
  get finalHash(): Uint8Array | null {
    return this.#state === 'active' && this.#stored?.isComplete ? this.#finalHash : null;
  }

  /** `stored`: what is left of an earlier page. */
  accept(stored: ChunkSet, inOrder: boolean): void {
    if (this.#state !== 'offered') return;
    this.#state = 'active';
    this.#stored = stored;
    this.#inOrder = inOrder;
    this.#answer();
  }

  decline(reason: FileErrorCode): void {
    if (this.#state !== 'offered') return;
    this.#end('declined', reason);
    this.#send(this.peerId, { kind: 'answer', accepted: false, reason });
  }

  /** The channel is open again. */
  onOpen(now: number): void {
    this.#heardAt = now;
    if (this.#state === 'active') this.#answerOrReport();
  }

  /** True if the driver must check and store the chunk. */
  onSignal(signal: FileSignal, now: number): boolean {
    if (this.isEnded) {
      this.#repeatEnd(signal);
      return false;
    }
    this.#heardAt = now;
    this.#goneAt = null;
    switch (signal.kind) {
      case 'offer':
        // Repeated, because the answer is late or was lost.
        if (this.#state === 'active') this.#answer();
        break;
      case 'chunk':
        return this.#onChunk(signal);
      case 'query':
        if (this.#state !== 'active' || signal.number < this.#query) break;
        this.#query = signal.number;
        this.#pausedBySender = signal.paused;
        // What was taken before the query belongs to the answer.
        this.#reportAt = this.#taken;
        this.#reportIfDue();
        break;
      case 'finalHash':
        if (this.#state === 'offered') this.fail('PROTOCOL');
        else if (this.#finalHash !== null && !sameBytes(this.#finalHash, signal.sha256)) this.fail('PROTOCOL');
        else {
          this.#finalHash = signal.sha256;
          // The sender learns what is missing, or that the comparison takes its time.
          this.#report();
        }
        break;
      case 'pause':
        this.#pausedBySender = signal.paused;
        break;
      case 'cancel':
        this.#end(signal.reason === 'USER' ? 'cancelled' : 'failed', signal.reason);
        break;
      default:
        this.fail('PROTOCOL');
    }
    return false;
  }

  #onChunk({ sequence, total, data }: WireChunk): boolean {
    const stored = this.#stored;
    const expected = chunkLength(sequence, this.metadata.size, this.chunkSize);
    if (this.#state !== 'active' || !stored || total !== this.total || data.length !== expected) {
      this.fail('PROTOCOL');
      return false;
    }
    if (stored.has(sequence) || this.#pending.has(sequence)) {
      this.#duplicates += 1;
      if (this.#duplicates > this.total + DUPLICATES_MAX) this.fail('PROTOCOL');
      // The sender does not know that it arrived.
      else if (this.#duplicates % CONFIRM_CHUNKS === 0) this.#report();
      return false;
    }
    if (this.#pending.size >= UNSTORED_CHUNKS_MAX) return false;
    this.#pending.add(sequence);
    this.#taken += 1;
    return true;
  }

  /** `dropped`: the store has no room for it now; it is requested again. */
  onChunkFinished(sequence: number, result: 'stored' | 'dropped' | 'corrupt'): void {
    if (this.#state !== 'active' || !this.#stored) return;
    this.#pending.delete(sequence);
    this.#finished += 1;
    if (result === 'stored') {
      this.#stored.add(sequence);
      this.#unconfirmed += 1;
    }
    if (result === 'corrupt') {
      this.#corrupt += 1;
      if (this.#corrupt > CORRUPT_CHUNKS_MAX) {
        this.fail('CORRUPT');
        return;
      }
    }
    const isDue = this.#unconfirmed >= CONFIRM_CHUNKS || this.#stored.isComplete;
    if (isDue) this.#report();
    this.#reportIfDue();
  }

  /** The driver has compared the hash of what is stored. */
  onHash(isRight: boolean): void {
    if (this.#state !== 'active') return;
    if (isRight) {
      this.#end('done', undefined);
      this.#send(this.peerId, { kind: 'done' });
    } else this.fail('WRONG_HASH');
  }

  setPaused(paused: boolean): void {
    if (this.#state !== 'active') return;
    this.#paused = paused;
    this.#send(this.peerId, { kind: 'pause', paused });
    if (!paused) this.#report();
  }

  fail(reason: FileErrorCode): void {
    if (this.isEnded) return;
    this.#end(reason === 'USER' ? 'cancelled' : 'failed', reason);
    this.#send(this.peerId, { kind: 'cancel', reason });
  }

  onPeerLeft(now: number): void {
    if (this.#state === 'offered') this.#end('failed', 'PEER_LEFT');
    else if (this.#state === 'active') this.#goneAt ??= now;
  }

  /** The sender is in the room under another id. */
  onPeerMoved(peerId: string): void {
    this.peerId = peerId;
    this.#goneAt = null;
    // Its queries are counted from the start.
    this.#query = 0;
  }

  onTimeout(now: number, isOpen: boolean): void {
    if (this.#state !== 'active') return;
    if (this.#goneAt !== null) {
      if (now - this.#goneAt >= RETURN_MS_MAX) this.#end('failed', 'PEER_LEFT');
    } else if (isOpen && now - this.#heardAt >= RECEIVER_REPEAT_MS) {
      this.#heardAt = now;
      this.#answerOrReport();
    }
  }

  #answer(): void {
    if (this.#stored)
      this.#send(this.peerId, {
        kind: 'answer',
        accepted: true,
        missing: this.#stored.missing(RANGES_MAX),
        inOrder: this.#inOrder,
      });
  }

  /** The sender may not have the answer, as long as nothing arrived. */
  #answerOrReport(): void {
    if (this.#taken === 0 && this.#query === 0 && this.#finalHash === null) this.#answer();
    else this.#report();
  }

  #reportIfDue(): void {
    if (this.#reportAt !== null && this.#finished >= this.#reportAt) this.#report();
  }

  #report(): void {
    if (this.#state !== 'active' || !this.#stored) return;
    this.#unconfirmed = 0;
    // A query counts as answered only when what came before it is stored.
    const isAnswer = this.#reportAt === null || this.#finished >= this.#reportAt;
    if (isAnswer) this.#reportAt = null;
    const missing = this.#stored.missing(RANGES_MAX);
    this.#send(this.peerId, { kind: 'missing', missing, paused: this.#paused, query: isAnswer ? this.#query : this.#query - 1 });
  }

  /** Answers a message that came after the end, because the other side may not know of it. */
  #repeatEnd({ kind }: FileSignal): void {
    if (kind === 'cancel' || kind === 'done') return;
    if (this.#state === 'done') {
      if (kind === 'finalHash' || kind === 'query') this.#send(this.peerId, { kind: 'done' });
    } else if (this.#state === 'declined' && kind === 'offer') {
      this.#send(this.peerId, { kind: 'answer', accepted: false, reason: this.#errorCode ?? 'USER' });
    } else {
      this.#send(this.peerId, { kind: 'cancel', reason: this.#errorCode ?? 'USER' });
    }
  }

  #end(state: ReceivingState, errorCode: FileErrorCode | undefined): void {
    this.#state = state;
    this.#errorCode = errorCode;
    this.#pending.clear();
  }

  /** What a person sees. */
  view(): { state: FileTransferState; bytes: number; errorCode?: FileErrorCode } {
    const { total, chunkSize, metadata } = this;
    const isPaused = this.#state === 'active' && (this.#paused || this.#pausedBySender || this.#goneAt !== null);
    const stored = this.#stored;
    const isLastStored = stored !== null && total > 0 && stored.has(total - 1);
    const rest = isLastStored ? chunkSize - chunkLength(total - 1, metadata.size, chunkSize) : 0;
    const bytes = (stored?.count ?? 0) * chunkSize - rest;
    return { state: isPaused ? 'paused' : this.#state, bytes, errorCode: this.#errorCode };
  }
}
