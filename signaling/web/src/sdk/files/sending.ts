// The state of one file that this client sends, to one or several receivers. Time is an argument; the driver
// (`file_transfers.ts`) reads the chunks and has the channel. Pure.
//
// A receiver's window bounds the chunks on the way. What is lost follows from what the receiver reports (`onMissing`),
// never from time alone: without a report in time, the sender asks for one.

import { ChunkSet } from './chunk_set';
import type { FileSignal, Missing } from './file_wire';
import { chunkLength } from './file_wire';
import {
  OFFER_MS_MAX,
  OFFER_REPEAT_MS,
  QUERY_MS,
  QUERY_MS_MAX,
  REORDER_CHUNKS,
  RESTARTS_MAX,
  RETURN_MS_MAX,
  SILENCE_MS_MAX,
  WINDOW_MAX_CHUNKS,
  WINDOW_MIN_CHUNKS,
  WINDOW_START_CHUNKS,
} from './limits';
import type { FileErrorCode, FileMetadata, FileReceiver, FileTransferState } from './types';

export interface OutgoingFile {
  readonly id: string;
  /** Null: to the room. */
  readonly to: string | null;
  readonly metadata: FileMetadata;
  readonly chunkSize: number;
  readonly total: number;
}

/** A chunk to send now; `to` is null if every peer of the room needs it. */
export interface Pick {
  readonly sequence: number;
  readonly to: string | null;
}

type LegState = 'offered' | 'active' | 'done' | 'declined' | 'cancelled' | 'failed';

/** The way to one receiver. */
class Leg {
  state: LegState = 'offered';
  errorCode: FileErrorCode | undefined;
  readonly offeredAt: number;
  repeatedAt: number;
  pausedByReceiver = false;
  /** It left the room and may return. */
  goneAt: number | null = null;
  confirmed: ChunkSet;
  /** The first chunk that may not have been sent in this round. */
  cursor = 0;
  readonly lost = new Set<number>();
  /** By sequence, the order in which they were sent. */
  readonly inFlight = new Map<number, number>();
  order = 0;
  window = WINDOW_START_CHUNKS;
  isWindowKnown = false;
  credit = 0;
  /** Losses of chunks that were sent earlier have been answered already. */
  recoveredUpTo = 0;
  query = 0;
  /** The order when the last query was sent: earlier chunks are confirmed or lost in its answer. */
  queryOrder = 0;
  /** No chunk is sent before the receiver reports: the channel was lost. */
  awaitsReport = false;
  isHashSent = false;
  /** How often it has accepted. */
  starts = 0;
  heardAt: number;
  askedAt = 0;
  askAfterMs = QUERY_MS;
  unansweredSince: number | null = null;

  constructor(total: number, now: number) {
    this.confirmed = new ChunkSet(total);
    this.offeredAt = now;
    this.repeatedAt = now;
    this.heardAt = now;
  }

  get isEnded(): boolean {
    return this.state !== 'offered' && this.state !== 'active';
  }

  get isPaused(): boolean {
    return this.pausedByReceiver || this.goneAt !== null;
  }

  get canTake(): boolean {
    return this.state === 'active' && !this.isPaused && !this.awaitsReport;
  }

  needs(sequence: number): boolean {
    return !this.confirmed.has(sequence) && !this.inFlight.has(sequence);
  }

  /** The next chunk that it needs; null if all are confirmed or on the way. */
  peek(): number | null {
    for (const sequence of this.lost) {
      if (this.needs(sequence)) return sequence;
      this.lost.delete(sequence);
    }
    for (let round = 0; round < 2; round++) {
      let sequence = this.confirmed.missingFrom(this.cursor);
      while (this.inFlight.has(sequence)) sequence = this.confirmed.missingFrom(sequence + 1);
      if (sequence < this.confirmed.total) return sequence;
      if (this.cursor === 0) return null;
      this.cursor = 0;
    }
    return null;
  }

  onSent(sequence: number): void {
    if (!this.lost.delete(sequence) && sequence >= this.cursor) this.cursor = sequence + 1;
    this.inFlight.set(sequence, this.order++);
  }

  /** The receiver accepts, for the first time or after it lost its state. */
  start(missing: Missing, cursor: number): void {
    this.state = 'active';
    this.starts += 1;
    this.awaitsReport = false;
    this.isHashSent = false;
    this.confirmed = ChunkSet.of(this.confirmed.total, missing);
    this.cursor = cursor;
    this.inFlight.clear();
    this.lost.clear();
  }

  onMissing(missing: Missing, query: number): void {
    this.confirmed.addAllBut(missing);
    let confirmedOrder = -1;
    for (const [sequence, order] of this.inFlight) {
      if (!this.confirmed.has(sequence)) continue;
      this.inFlight.delete(sequence);
      confirmedOrder = Math.max(confirmedOrder, order);
      this.#grow();
    }
    const isAnswer = query === this.query && query !== 0;
    for (const [sequence, order] of this.inFlight) {
      if (order + REORDER_CHUNKS > confirmedOrder && !(isAnswer && order < this.queryOrder)) continue;
      this.inFlight.delete(sequence);
      this.lost.add(sequence);
      this.#shrink(order);
    }
    if (isAnswer) this.awaitsReport = false;
  }

  #grow(): void {
    this.credit += 1;
    // Until the first loss it doubles in each round trip.
    if (this.isWindowKnown && this.credit < this.window) return;
    this.credit = 0;
    this.window = Math.min(WINDOW_MAX_CHUNKS, this.window + 1);
  }

  #shrink(order: number): void {
    if (order < this.recoveredUpTo) return;
    this.isWindowKnown = true;
    this.recoveredUpTo = this.order;
    this.window = Math.max(WINDOW_MIN_CHUNKS, this.window >>> 1);
  }

  onHeard(now: number): void {
    this.heardAt = now;
    this.askAfterMs = QUERY_MS;
    this.unansweredSince = null;
  }
}

export class Sending {
  readonly file: OutgoingFile;
  readonly #send: (to: string, signal: FileSignal) => void;
  readonly #legs = new Map<string, Leg>();
  #paused = false;
  #finalHash: Uint8Array | null = null;
  /** The receiver that is served next. */
  #turn = 0;

  constructor(file: OutgoingFile, receivers: Iterable<string>, now: number, send: (to: string, signal: FileSignal) => void) {
    this.file = file;
    this.#send = send;
    for (const peerId of receivers) this.#legs.set(peerId, new Leg(file.total, now));
  }

  get isEnded(): boolean {
    return [...this.#legs.values()].every((leg) => leg.isEnded);
  }

  /** A receiver has every chunk and waits for the final hash. */
  get needsHash(): boolean {
    return this.#finalHash === null && [...this.#legs.values()].some((leg) => leg.state === 'active' && leg.confirmed.isComplete);
  }

  has(peerId: string): boolean {
    return this.#legs.has(peerId);
  }

  /** The channel is open: for the first time, or again after a loss. */
  onOpen(now: number): void {
    for (const [peerId, leg] of this.#legs) {
      if (leg.state === 'offered') this.#offer(peerId, leg, now);
      if (leg.state !== 'active') continue;
      leg.awaitsReport = true;
      leg.onHeard(now);
      this.#ask(peerId, leg, now);
    }
  }

  /** The receiver `before` has returned under another id. False if it has ended. */
  adopt(peerId: string, before: string): boolean {
    const leg = this.#legs.get(before);
    if (!leg || leg.isEnded || this.#legs.has(peerId)) return false;
    this.#legs.delete(before);
    this.#legs.set(peerId, leg);
    return true;
  }

  /** The receivers that have not ended; those that left the room first. */
  open(): string[] {
    const open = [...this.#legs].filter(([, leg]) => !leg.isEnded);
    return open.sort(([, a], [, b]) => Number(b.goneAt !== null) - Number(a.goneAt !== null)).map(([peerId]) => peerId);
  }

  isGone(peerId: string): boolean {
    return (this.#legs.get(peerId)?.goneAt ?? null) !== null;
  }

  onSignal(from: string, signal: FileSignal, now: number): void {
    const leg = this.#legs.get(from);
    if (!leg) return;
    if (leg.isEnded) {
      if (signal.kind !== 'cancel' && signal.kind !== 'done' && leg.state !== 'done')
        this.#send(from, { kind: 'cancel', reason: leg.errorCode ?? 'USER' });
      return;
    }
    leg.onHeard(now);
    leg.goneAt = null;
    switch (signal.kind) {
      case 'answer':
        if (!signal.accepted) this.#end(leg, leg.state === 'offered' ? 'declined' : 'failed', signal.reason);
        else if (signal.missing.end > this.file.total || leg.starts >= RESTARTS_MAX) this.fail(from, 'PROTOCOL');
        else {
          if (this.#paused) this.#send(from, { kind: 'pause', paused: true });
          leg.start(signal.missing, signal.inOrder || signal.missing.end > 0 ? 0 : this.#sharedCursor());
          this.#sendHashIfDue(from, leg, now);
        }
        break;
      case 'missing':
        // The answer may be late, on a channel without order.
        if (leg.state === 'offered') break;
        if (signal.missing.end > this.file.total) {
          this.fail(from, 'PROTOCOL');
          break;
        }
        leg.pausedByReceiver = signal.paused;
        leg.onMissing(signal.missing, signal.query);
        this.#sendHashIfDue(from, leg, now);
        break;
      case 'pause':
        leg.pausedByReceiver = signal.paused;
        break;
      case 'cancel':
        this.#end(leg, signal.reason === 'USER' ? 'cancelled' : 'failed', signal.reason);
        break;
      case 'done':
        // A receiver that does not have the hash cannot have compared it.
        if (leg.isHashSent) this.#end(leg, 'done', undefined);
        else this.fail(from, 'PROTOCOL');
        break;
      default:
        this.fail(from, 'PROTOCOL');
    }
  }

  /**
   * The next chunk to send. `room` has the other peers of the room: a chunk that all of them need is sent once. It
   * is never sent to a peer that has not accepted.
   */
  pick(room: ReadonlySet<string>): Pick | null {
    if (this.#paused) return null;
    const legs = [...this.#legs];
    for (let step = 0; step < legs.length; step++) {
      const [peerId, leg] = legs[(this.#turn + step) % legs.length] as [string, Leg];
      if (!leg.canTake || leg.inFlight.size >= leg.window) continue;
      const sequence = leg.peek();
      if (sequence === null) continue;
      this.#turn = (this.#turn + step + 1) % legs.length;
      const shared = this.#sharedBy(sequence, room);
      for (const each of shared ?? [leg]) each.onSent(sequence);
      return { sequence, to: shared ? null : peerId };
    }
    return null;
  }

  /** The receivers of a chunk that goes to the whole room; null if it must not. */
  #sharedBy(sequence: number, room: ReadonlySet<string>): Leg[] | null {
    if (this.file.to !== null || room.size < 2) return null;
    const legs: Leg[] = [];
    for (const peerId of room) {
      const leg = this.#legs.get(peerId);
      // A receiver that cannot keep up gets its chunks on its own.
      if (!leg?.canTake || !leg.needs(sequence) || leg.inFlight.size >= 2 * leg.window) return null;
      legs.push(leg);
    }
    return legs;
  }

  /** Where a new receiver begins: with the others, so that they share the chunks. It gets the first ones at the end. */
  #sharedCursor(): number {
    return Math.max(0, ...[...this.#legs.values()].filter(({ state }) => state === 'active').map(({ cursor }) => cursor));
  }

  setHash(sha256: Uint8Array, now: number): void {
    this.#finalHash = sha256;
    for (const [peerId, leg] of this.#legs) this.#sendHashIfDue(peerId, leg, now);
  }

  setPaused(paused: boolean): void {
    this.#paused = paused;
    for (const [peerId, leg] of this.#legs) if (leg.state === 'active') this.#send(peerId, { kind: 'pause', paused });
  }

  /** Ends the transfer for all receivers. */
  cancel(reason: FileErrorCode): void {
    for (const peerId of this.#legs.keys()) this.fail(peerId, reason);
  }

  fail(peerId: string, reason: FileErrorCode): void {
    const leg = this.#legs.get(peerId);
    if (!leg || leg.isEnded) return;
    this.#end(leg, reason === 'USER' ? 'cancelled' : 'failed', reason);
    this.#send(peerId, { kind: 'cancel', reason });
  }

  onPeerLeft(peerId: string, now: number): void {
    const leg = this.#legs.get(peerId);
    if (leg?.state === 'offered') this.#end(leg, 'failed', 'PEER_LEFT');
    else if (leg?.state === 'active') leg.goneAt ??= now;
  }

  onTimeout(now: number, isOpen: boolean): void {
    for (const [peerId, leg] of this.#legs) {
      if (leg.goneAt !== null && leg.state === 'active') {
        if (now - leg.goneAt >= RETURN_MS_MAX) this.#end(leg, 'failed', 'PEER_LEFT');
      } else if (leg.state === 'offered') this.#onOfferTimeout(peerId, leg, now, isOpen);
      else if (leg.state === 'active' && isOpen) this.#onActiveTimeout(peerId, leg, now);
    }
  }

  #onOfferTimeout(peerId: string, leg: Leg, now: number, isOpen: boolean): void {
    if (now - leg.offeredAt >= OFFER_MS_MAX) this.fail(peerId, 'TIMEOUT');
    else if (isOpen && now - leg.repeatedAt >= OFFER_REPEAT_MS) this.#offer(peerId, leg, now);
  }

  #onActiveTimeout(peerId: string, leg: Leg, now: number): void {
    const awaits = leg.inFlight.size > 0 || leg.awaitsReport || (leg.confirmed.isComplete && this.#finalHash !== null);
    if (!awaits || now - Math.max(leg.heardAt, leg.askedAt) < leg.askAfterMs) return;
    leg.unansweredSince ??= now;
    leg.askAfterMs = Math.min(QUERY_MS_MAX, 2 * leg.askAfterMs);
    if (now - leg.unansweredSince >= SILENCE_MS_MAX) this.fail(peerId, 'TIMEOUT');
    else this.#ask(peerId, leg, now);
  }

  #offer(peerId: string, leg: Leg, now: number): void {
    leg.repeatedAt = now;
    const { metadata, chunkSize, total, to } = this.file;
    this.#send(peerId, { kind: 'offer', metadata, chunkSize, total, toRoom: to === null });
  }

  #sendHashIfDue(peerId: string, leg: Leg, now: number): void {
    const isDue = leg.state === 'active' && leg.confirmed.isComplete && this.#finalHash !== null;
    if (isDue && !leg.isHashSent) this.#ask(peerId, leg, now);
  }

  /** Requests the report that is due: of missing chunks, or of the final hash. */
  #ask(peerId: string, leg: Leg, now: number): void {
    leg.askedAt = now;
    if (leg.confirmed.isComplete && this.#finalHash !== null) {
      leg.isHashSent = true;
      this.#send(peerId, { kind: 'finalHash', sha256: this.#finalHash });
    } else {
      leg.query += 1;
      leg.queryOrder = leg.order;
      this.#send(peerId, { kind: 'query', number: leg.query, paused: this.#paused });
    }
  }

  #end(leg: Leg, state: LegState, errorCode: FileErrorCode | undefined): void {
    leg.state = state;
    leg.errorCode = errorCode;
    leg.inFlight.clear();
    leg.lost.clear();
  }

  /** What a person sees. */
  view(): { state: FileTransferState; bytes: number; errorCode?: FileErrorCode; receivers: FileReceiver[] } {
    const receivers = [...this.#legs].map(([peerId, leg]) => this.#receiver(peerId, leg));
    const active = receivers.filter(({ state }) => state === 'active' || state === 'paused');
    const is = (wanted: FileTransferState) => receivers.some(({ state }) => state === wanted);
    const bytesOf = (list: FileReceiver[]) => list.map(({ bytes }) => bytes);
    const bytes = active.length > 0 ? Math.min(...bytesOf(active)) : Math.max(0, ...bytesOf(receivers));
    const ordered: FileTransferState[] = ['active', 'paused', 'offered', 'done', 'failed', 'cancelled', 'declined'];
    const state = ordered.find(is) ?? 'failed';
    const errorCode = receivers.find((receiver) => receiver.state === state && receiver.errorCode)?.errorCode;
    return { state, bytes, errorCode, receivers };
  }

  #receiver(peerId: string, leg: Leg): FileReceiver {
    const { total, chunkSize, metadata } = this.file;
    const { count } = leg.confirmed;
    const isLastConfirmed = total > 0 && leg.confirmed.has(total - 1);
    const bytes = count * chunkSize - (isLastConfirmed ? chunkSize - chunkLength(total - 1, metadata.size, chunkSize) : 0);
    const isPaused = leg.state === 'active' && (this.#paused || leg.isPaused);
    return { peerId, state: isPaused ? 'paused' : leg.state, bytes, errorCode: leg.errorCode };
  }
}
