// Waiting for something to become true, with a sentence about what did not.

import { availableParallelism, loadavg } from 'node:os';

/**
 * The limit of every wait. It is generous, because the machine may be busy: a condition that is not true by then will not become true. No test asserts how
 * quickly something happens; what has to be bounded is counted in frames, packets or attempts.
 */
export const PATIENCE_MS = 60_000;

/** The limit of a whole test. */
export const TEST_LIMIT = { timeout: 600_000 };

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls `probe` until it gives something truthy, and gives that. */
export async function until(what, probe, { timeoutMs = PATIENCE_MS, everyMs = 100 } = {}) {
  const start = Date.now();
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() - start > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(everyMs);
  }
}

/** Beside a failure: three browsers and a debug build are slow where others compute too. */
export function machineLoad() {
  const [minute, five] = loadavg().map((load) => load.toFixed(1));
  return `load ${minute} over a minute, ${five} over five, on ${availableParallelism()} cores`;
}

/** Waits until `count` gives the same number for two seconds: what was on its way has arrived, and nothing follows. Gives that number. */
export async function standsStill(what, count) {
  let [last, since] = [await count(), Date.now()];
  await until(`${what} stands still`, async () => {
    const now = await count();
    if (now !== last) [last, since] = [now, Date.now()];
    return Date.now() - since >= 2_000;
  });
  return last;
}
