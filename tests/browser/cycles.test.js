// A long call: a participant publishes and ends a source 100 times. Nothing grows: not at the server, not in the browsers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignalClient } from './lib/client.js';
import { withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

/** The first cycles fill caches and the lists that have an end. */
const WARM_UP = 20;
const CYCLES = 100;
/** For 100 cycles, of which histories and statistics with an end took 0.3 to 0.6 MB when it was measured. */
const HEAP_GROWTH_MAX = 2 * 1024 * 1024;

/** Runs in the page, before the app: keeps the peer connections for `transceivers`. */
function keepConnections() {
  window.connections = new Set();
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.connections.add(new WeakRef(this));
    }
  };
}

/** The transceivers of the connections that are open, and the number of these connections. */
const transceivers = ({ page }) =>
  page.evaluate(() => {
    const open = [...window.connections].map((ref) => ref.deref()).filter((one) => one && one.signalingState !== 'closed');
    return { connections: open.length, transceivers: open.reduce((sum, one) => sum + one.getTransceivers().length, 0) };
  });

/** Bytes of the JavaScript heap in use after a garbage collection. */
async function heap({ page }) {
  const session = await page.context().newCDPSession(page);
  // The second one collects what finalizers of the first have released.
  for (let round = 0; round < 2; round += 1) await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize;
}

/** Starts or ends a source of a canvas. */
const publish = ({ page }, starts) =>
  page.evaluate((starts) => {
    window.canvas ??= Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
    window.canvas.getContext('2d').fillRect(0, 0, 10, 10);
    const track = starts ? window.canvas.captureStream(5).getVideoTracks()[0] : null;
    window.__leat.call.setSource('slides', track);
    window.track?.stop();
    window.track = track;
  }, starts);

/** Grace has the track of Ada's slides, or none. */
const receivesSlides = (grace, wanted) =>
  until(
    wanted ? 'Grace receives the slides' : 'Grace has no slides',
    () =>
      grace.page.evaluate((wanted) => {
        const ada = window.__leat.store.getState().call?.peers.find(({ name }) => name === 'Ada');
        const slides = ada?.sources.find(({ source }) => source === 'slides');
        return wanted ? Boolean(slides?.track) : ada !== undefined && slides === undefined;
      }, wanted),
    { everyMs: 20 },
  );

async function cycle(ada, grace, count) {
  for (let done = 0; done < count; done += 1) {
    await publish(ada, true);
    await receivesSlides(grace, true);
    await publish(ada, false);
    await receivesSlides(grace, false);
  }
}

async function measure(peers) {
  const rows = [];
  for (const peer of peers) rows.push({ ...(await transceivers(peer)), heap: await heap(peer) });
  return rows;
}

test(`${CYCLES} times published and ended: transceivers, producers and heap do not grow`, TEST_LIMIT, async (t) => {
  await inRoom(t, { names: [] }, async ({ leat, peers, enter }) => {
    // Without cameras: the test needs no media except that of the source.
    for (const name of ['Ada', 'Grace']) {
      await (await enter(name, { camera: [withoutDevices], before: [[keepConnections]] })).connected();
    }
    const [ada, grace] = peers;
    await cycle(ada, grace, WARM_UP);
    const before = await measure(peers);
    await cycle(ada, grace, CYCLES);
    const after = await measure(peers);
    t.diagnostic(JSON.stringify({ before, after }));
    for (const [index, { name }] of peers.entries()) {
      assert.equal(after[index].transceivers, before[index].transceivers, `transceivers of ${name}`);
      assert.equal(after[index].connections, 2, `connections of ${name}`);
      const growth = after[index].heap - before[index].heap;
      assert.ok(growth < HEAP_GROWTH_MAX, `the heap of ${name} grew by ${growth} bytes`);
    }
    // What the server keeps, as a client that joins now is informed.
    const eve = await SignalClient.join(leat.url, 'millpond', 'Eve');
    try {
      const sources = eve.peers.map(({ displayName, producers }) => [displayName, producers.map(({ source }) => source).sort()]);
      assert.deepEqual(sources.sort(), [
        ['Ada', []],
        ['Grace', []],
      ]);
    } finally {
      eve.close();
    }
    // The next source is received and decoded as the first was.
    await publish(ada, true);
    await receivesSlides(grace, true);
    await until('Grace decodes the slides', async () => {
      await ada.page.evaluate(() => window.canvas.getContext('2d').fillRect(Math.random() * 300, 0, 20, 20));
      return (await grace.received()).some(({ source, frames }) => source === 'slides' && frames > 0);
    });
  });
});
