// Sound and picture of one peer stay together, however often the layer changes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withLayers } from './lib/layers.js';
import { sleep, until } from './lib/wait.js';

const SWITCHES = 100;
/** Twice the least that a person can tell. */
const OFFSET_MAX_MS = 40;

test(`after ${SWITCHES} switches of layers sound and picture are together`, { timeout: 90_000 }, async (t) => {
  await withLayers(t, { codec: 'VP8', mode: 'L3T1' }, async ({ grace }) => {
    const order = [0, 2, 1];
    for (let number = 0; number < SWITCHES; number += 1) {
      const spatialLayer = order[number % order.length];
      await grace.pin('Ada', { spatialLayer, temporalLayer: 0 });
      const arrived = async () => (await grace.layersOf('Ada'))?.spatialLayer === spatialLayer;
      await until(`switch ${number} to ${spatialLayer}`, arrived, { timeoutMs: 5_000, everyMs: 20 });
    }
    // The jitter buffers settle, and every stream has had a sender report.
    await sleep(3_000);
    const offsets = [];
    for (let sample = 0; sample < 15; sample += 1) {
      const rows = await grace.received();
      const playout = (wanted) => rows.find(({ kind }) => kind === wanted).playout;
      assert.ok(playout('audio') > 0 && playout('video') > 0, `no playout time: ${JSON.stringify(rows)}`);
      offsets.push(playout('video') - playout('audio'));
      await sleep(200);
    }
    offsets.sort((a, b) => a - b);
    const median = offsets[Math.floor(offsets.length / 2)];
    t.diagnostic(
      `picture against sound: median ${median.toFixed(1)} ms, from ${offsets[0].toFixed(1)} to ${offsets.at(-1).toFixed(1)}`,
    );
    assert.ok(Math.abs(median) < OFFSET_MAX_MS, `picture and sound are ${median} ms apart`);
  });
});
