// The rate of a transfer, smoothed so that a person can read it. Pure.

/** The weight of an earlier rate falls to 1/e in this time. */
const SMOOTHING_MS = 3_000;
/** Rates below this, in bytes per second, are 0. */
const RATE_MIN = 1;

export interface Rate {
  readonly at: number;
  readonly bytes: number;
  /** Bytes per second. */
  readonly value: number;
}

export function rateAfter(rate: Rate | null, now: number, bytes: number): Rate {
  if (rate === null) return { at: now, bytes, value: 0 };
  const elapsed = now - rate.at;
  if (elapsed <= 0) return rate;
  const current = (Math.max(0, bytes - rate.bytes) * 1_000) / elapsed;
  const kept = Math.exp(-elapsed / SMOOTHING_MS);
  // The first measurement has no earlier one to be mixed with.
  const value = rate.value === 0 ? current : rate.value * kept + current * (1 - kept);
  return { at: now, bytes, value: value < RATE_MIN ? 0 : value };
}
