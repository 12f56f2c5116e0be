// Simulcast: a camera in three sizes, each a stream of its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { movesThroughAllLayers, showsLines, withLayers } from './lib/layers.js';
import { sleep, until } from './lib/wait.js';

for (const codec of ['VP8', 'H264']) {
  test(`${codec} simulcast: a subscriber moves through all layers on command`, { timeout: 90_000 }, async (t) => {
    await withLayers(t, { codec, mode: 'L3T3' }, async (room) => {
      const { ada, grace, step } = room;
      const sent = (await ada.sent()).filter(({ kind }) => kind === 'video');
      assert.deepEqual(
        sent.map(({ rid }) => rid),
        ['r0', 'r1', 'r2'],
      );

      await step('sizes follow, and nothing freezes', () => movesThroughAllLayers(t, room, `video/${codec}`));

      if (codec !== 'VP8') return;
      await step('sizes that nobody takes are switched off, and are back within a second', async () => {
        await grace.pin('Ada', { spatialLayer: 0, temporalLayer: 2 });
        const top = async () => (await ada.sent()).find(({ rid }) => rid === 'r2');
        await until('the large one is off', async () => !(await top()).active, { timeoutMs: 15_000 });
        await until('the middle one is off', async () => !(await ada.sent()).find(({ rid }) => rid === 'r1').active);
        await sleep(500);
        const still = await top();
        await sleep(1_000);
        assert.equal((await top()).frames, still.frames, 'frames encoded for nobody');

        const asked = await grace.pin('Ada', { spatialLayer: 2, temporalLayer: 2 });
        await until('it is encoded again', async () => (await top()).frames > still.frames, { everyMs: 20 });
        const encodedAfterMs = Date.now() - asked;
        await showsLines(grace, 'Ada', 720);
        t.diagnostic(`encoded again ${encodedAfterMs} ms after it was asked for, shown after ${Date.now() - asked} ms`);
        assert.ok(encodedAfterMs < 1_000, `encoded again after ${encodedAfterMs} ms`);
      });
    });
  });
}
