// Waiting for something to become true, with a sentence about what did not.

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
