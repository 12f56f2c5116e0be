// Waits for conditions; a failure names the condition that did not become true.

import { availableParallelism, loadavg } from 'node:os';

/**
 * The limit of every wait. It is generous, because the machine may be busy: a condition that is not true
 * within it will not become true. No test asserts how quickly something happens; bounds are given in frames,
 * packets or attempts.
 */
export const PATIENCE_MS = 60_000;

/** The limit of a whole test. */
export const TEST_LIMIT = { timeout: 600_000 };

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls `probe` until it returns a truthy value, and returns that value. */
export async function until(what, probe, { timeoutMs = PATIENCE_MS, everyMs = 100 } = {}) {
  const start = Date.now();
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() - start > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(everyMs);
  }
}

/**
 * Added to a failure message: three browsers and a debug build are slow on a machine that runs other
 * programs.
 */
export function machineLoad() {
  const [minute, five] = loadavg().map((load) => load.toFixed(1));
  return `load ${minute} over a minute, ${five} over five, on ${availableParallelism()} cores`;
}

/**
 * Waits until `count` returns the same number for two seconds, so that all packets on the way have arrived.
 * Returns that number.
 */
export async function stopsChanging(what, count) {
  let [last, since] = [await count(), Date.now()];
  await until(`${what} stops changing`, async () => {
    const now = await count();
    if (now !== last) [last, since] = [now, Date.now()];
    return Date.now() - since >= 2_000;
  });
  return last;
}
