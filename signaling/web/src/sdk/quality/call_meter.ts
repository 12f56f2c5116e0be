// What this client reports of its call to the server (`QualityReport`): totals and means from the join on. Without
// timers; times are arguments.

import type { PayloadInit } from '../channel';
import type { Round } from './sampler';
import type { Sample } from './samples';

type Report = Extract<PayloadInit, { case: 'qualityReport' }>['value'];

/** The largest values that the server accepts. */
const JOIN_MS_MAX = 3_600_000;
const FIRST_FRAME_MS_MAX = 86_400_000;
const FREEZES_MAX = 1_000_000;
const UINT32_MAX = 0xffff_ffff;
const DELAY_US_MAX = 60_000_000;

class Mean {
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#sum += value;
    this.#count += 1;
  }

  /** The mean times `unit`, as an integer up to `max`; undefined without a value. */
  in(unit: number, max: number): number | undefined {
    return this.#count === 0 ? undefined : Math.min(max, Math.round((unit * this.#sum) / this.#count));
  }
}

/** Times are milliseconds of one clock that does not go back. */
export class CallMeter {
  #begunAt = 0;
  #joinMs: number | undefined;
  /** The time from which the first picture is counted; null while there is no video to receive. */
  #awaitedAt: number | null = null;
  #firstFrameMs: number | undefined;
  #freezes = 0;
  #frozenMs = 0;
  #received = 0;
  #lost = 0;
  #jitterMs = new Mean();
  #rttMs = new Mean();
  #mos = new Mean();
  #relayed: boolean | undefined;

  /** The client begins to join as a new peer. */
  begin(now: number): void {
    this.#begunAt = now;
    this.#joinMs = undefined;
    this.#awaitedAt = null;
    this.#firstFrameMs = undefined;
    this.#freezes = 0;
    this.#frozenMs = 0;
    this.#received = 0;
    this.#lost = 0;
    this.#jitterMs = new Mean();
    this.#rttMs = new Mean();
    this.#mos = new Mean();
    this.#relayed = undefined;
  }

  /** The client is in the room, for the first time as this peer. `hasVideo`: others send video. */
  onJoined(now: number, hasVideo: boolean): void {
    if (this.#joinMs !== undefined) return;
    this.#joinMs = now - this.#begunAt;
    if (hasVideo) this.#awaitedAt = this.#begunAt;
  }

  /** Others send video. */
  onVideo(now: number): void {
    if (this.#joinMs !== undefined) this.#awaitedAt ??= now;
  }

  /** Others send video, and no picture of it was seen so far. */
  get isAwaitingPicture(): boolean {
    return this.#awaitedAt !== null && this.#firstFrameMs === undefined;
  }

  onPicture(now: number): void {
    if (this.#awaitedAt !== null) this.#firstFrameMs ??= now - this.#awaitedAt;
  }

  add({ received, sentRttMs, relayed }: Round): void {
    for (const { before, now, measurement } of received) {
      const more = (value: (sample: Sample) => number) => since(before && value(before), value(now));
      this.#received += more(({ packets }) => packets);
      this.#lost += more(({ packetsLost }) => packetsLost);
      this.#freezes += more(({ freezes }) => freezes);
      this.#frozenMs += more(({ frozenMs }) => frozenMs);
      if (!measurement) continue;
      this.#jitterMs.add(measurement.jitterMs);
      if (measurement.rttMs !== null) this.#rttMs.add(measurement.rttMs);
      if (measurement.mos !== null) this.#mos.add(measurement.mos);
    }
    for (const rttMs of sentRttMs) this.#rttMs.add(rttMs);
    if (relayed !== null) this.#relayed = relayed;
  }

  /** Null before the join. */
  get report(): Report | null {
    if (this.#joinMs === undefined) return null;
    return {
      joinMs: whole(this.#joinMs, JOIN_MS_MAX),
      firstFrameMs: this.#firstFrameMs === undefined ? undefined : whole(this.#firstFrameMs, FIRST_FRAME_MS_MAX),
      freezes: whole(this.#freezes, FREEZES_MAX),
      frozenMs: whole(this.#frozenMs, UINT32_MAX),
      packetsReceived: BigInt(whole(this.#received, Number.MAX_SAFE_INTEGER)),
      packetsLost: BigInt(whole(this.#lost, Number.MAX_SAFE_INTEGER)),
      jitterUs: this.#jitterMs.in(1_000, DELAY_US_MAX),
      roundTripUs: this.#rttMs.in(1_000, DELAY_US_MAX),
      mosHundredths: this.#mos.in(100, 450),
      relayed: this.#relayed,
    };
  }
}

/** The increase of a counter, which begins again with new transports. A packet that arrives late reduces a loss. */
function since(before: number | undefined, now: number): number {
  return Math.max(0, before === undefined || now < before / 2 ? now : now - before);
}

function whole(value: number, max: number): number {
  return Math.min(max, Math.max(0, Math.round(value)));
}
