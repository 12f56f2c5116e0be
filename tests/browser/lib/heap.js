// The memory of a page of Chromium.

import { sleep } from './wait.js';

const PAUSE_MS = 1_000;

/** Bytes that are reachable: objects of JavaScript and of the browser, and the contents of array buffers. */
async function heap(session) {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize, embedderHeapUsedSize, backingStorageSize } = await session.send('Runtime.getHeapUsage');
  return usedSize + embedderHeapUsedSize + backingStorageSize;
}

/** Watches the heap of a page, until `stop`. */
export class HeapWatch {
  #session;
  #watching;
  #isOver = false;
  #most = 0;

  static async start(peer) {
    const watch = new HeapWatch();
    watch.#session = await peer.page.context().newCDPSession(peer.page);
    watch.#watching = watch.#watch();
    return watch;
  }

  async #watch() {
    while (!this.#isOver) {
      this.#most = Math.max(this.#most, await heap(this.#session));
      await sleep(PAUSE_MS);
    }
  }

  /** Returns the most bytes that the heap had, each time after a garbage collection. */
  async stop() {
    this.#isOver = true;
    await this.#watching;
    return this.#most;
  }
}
