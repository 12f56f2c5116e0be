// Waiting for something to become true, with a sentence about what did not.

import { availableParallelism, loadavg } from 'node:os';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls `probe` until it gives something truthy, and gives that. */
export async function until(what, probe, { timeoutMs = 10_000, everyMs = 100 } = {}) {
  const start = Date.now();
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() - start > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(everyMs);
  }
}

/** Beside a failure: three browsers and a debug build are slow where others compute too. */
export function machineLoad() {
  const [minute, five] = loadavg().map((load) => load.toFixed(1));
  return `load ${minute} over a minute, ${five} over five, on ${availableParallelism()} cores`;
}
