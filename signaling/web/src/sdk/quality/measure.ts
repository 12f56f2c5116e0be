// How well a source arrives, from two samples of its counters. Pure.

import type { Sample } from './samples';

/** The quality of a source in a few steps. */
export type QualityLevel = 'good' | 'fair' | 'poor';

/** Over the interval between two samples. */
export interface Measurement {
  /** Milliseconds, of the clock of the samples. */
  at: number;
  jitterMs: number;
  /** `packetsLost / packetsReceived`; of a source that this client sends, lost and sent. */
  packetLoss: number;
  /** Null: not known. */
  rttMs: number | null;
  bitrateBps: number;
  freezes: number;
  /** The part of the interval without a new picture, 0 to 1. */
  frozenShare: number;
  /** Mean opinion score of the sound, 1 (bad) to 4.4; null for video. */
  mos: number | null;
}

/** Null if nothing was sent or lost in the interval, or if the counters began again. */
export function measure(before: Sample, now: Sample): Measurement | null {
  const ms = now.at - before.at;
  const packets = now.packets - before.packets;
  // A packet that arrives late reduces the counter.
  const packetsLost = Math.max(0, now.packetsLost - before.packetsLost);
  if (ms <= 0 || packets < 0 || packets + packetsLost === 0) return null;
  const { jitterMs, rttMs, kind } = now;
  const missing = packetsLost / (packets + packetsLost);
  return {
    at: now.at,
    jitterMs,
    packetLoss: packetLoss({ packetsLost, packetsReceived: packets }),
    rttMs,
    bitrateBps: (8_000 * Math.max(0, now.bytes - before.bytes)) / ms,
    freezes: Math.max(0, now.freezes - before.freezes),
    frozenShare: Math.min(1, Math.max(0, now.frozenMs - before.frozenMs) / ms),
    mos: kind === 'audio' ? mosOf(ratingOf({ missing, jitterMs, rttMs: rttMs ?? 0 })) : null,
  };
}

/** More than 1 if more packets are lost than received; infinite if none is received. */
export function packetLoss({ packetsLost, packetsReceived }: { packetsLost: number; packetsReceived: number }): number {
  return packetsLost <= 0 ? 0 : packetsLost / packetsReceived;
}

/** Milliseconds of sound in a packet, and of the decoder. */
const FRAME_MS = 40;
/** A delay above this disturbs a conversation. */
const DELAY_MAX_MS = 177.3;
/** The robustness of the codec against loss. There is none published for Opus; this is that of GSM EFR (ITU-T G.113). */
const BPL = 10;

export interface Path {
  /** The share of packets that are missing, 0 to 1. */
  missing: number;
  jitterMs: number;
  rttMs: number;
}

/**
 * The transmission rating R of the E-model, ITU-T G.107 (06/2015): R = R0 − Is − Id − Ie,eff + A, with the default
 * values R0 − Is = 93.2 and A = 0. Id is the delay impairment in the
 * simplification of Cole and Rosenbluth (Voice over IP Performance Monitoring, 2001); Ie,eff = Ie + (95 − Ie) ×
 * Ppl ÷ (Ppl + Bpl) with Ie = 0 for a wideband codec. The engine computes its scores in the same way (docs/stats.md).
 */
export function ratingOf({ missing, jitterMs, rttMs }: Path): number {
  const delayMs = rttMs / 2 + 2 * jitterMs + FRAME_MS;
  const delay = 0.024 * delayMs + 0.11 * Math.max(0, delayMs - DELAY_MAX_MS);
  const percent = 100 * missing;
  return Math.min(100, Math.max(0, 93.2 - delay - (95 * percent) / (percent + BPL)));
}

/** The mean opinion score for a rating (ITU-T G.107 annex B). */
export function mosOf(rating: number): number {
  if (rating <= 0) return 1;
  // Below a rating of about 6.5 the polynomial is less than 1.
  return Math.max(1, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6);
}

/** ITU-T G.107 annex B: users are satisfied from a rating of 80; below 60 nearly all are dissatisfied. */
const MOS_GOOD = mosOf(80);
const MOS_FAIR = mosOf(60);
/** Of video: the decoder conceals little, but lost packets are repaired before they are missed. */
const LOSS_FAIR = 0.03;
const LOSS_POOR = 0.1;
const FROZEN_POOR = 0.1;
const RTT_FAIR_MS = 400;

/** The level of one measurement; `levelAfter` makes a steady one of several. */
export function levelOf({ mos, packetLoss, freezes, frozenShare, rttMs }: Measurement): QualityLevel {
  if (mos !== null) return mos >= MOS_GOOD ? 'good' : mos >= MOS_FAIR ? 'fair' : 'poor';
  if (packetLoss > LOSS_POOR || frozenShare > FROZEN_POOR) return 'poor';
  return packetLoss > LOSS_FAIR || freezes > 0 || (rttMs ?? 0) > RTT_FAIR_MS ? 'fair' : 'good';
}

/** Null if no level is known. */
export function worstOf(levels: readonly (QualityLevel | null | undefined)[]): QualityLevel | null {
  return order.find((level) => levels.includes(level)) ?? null;
}

/** A level that does not flicker. */
export interface Steady {
  level: QualityLevel;
  /** Measurements in a row that were better (positive) or worse (negative) than the level. */
  streak: number;
}

/** This number of measurements in a row changes the level: bad news is shown earlier than good news. */
const WORSE_AFTER = 2;
const BETTER_AFTER = 4;
const order: readonly QualityLevel[] = ['poor', 'fair', 'good'];

/** Down to the measured level at once, up by one step at a time. */
export function levelAfter(before: Steady | null, measured: QualityLevel): Steady {
  if (!before) return { level: measured, streak: 0 };
  const { level } = before;
  const difference = Math.sign(order.indexOf(measured) - order.indexOf(level));
  if (difference === 0) return { level, streak: 0 };
  const streak = Math.sign(before.streak) === difference ? before.streak + difference : difference;
  if (streak <= -WORSE_AFTER) return { level: measured, streak: 0 };
  if (streak >= BETTER_AFTER) return { level: order[order.indexOf(level) + 1] ?? level, streak: 0 };
  return { level, streak };
}
