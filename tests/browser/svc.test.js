// Scalable streams: a camera in three sizes, all in one stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BACK_FRAMES_MAX, framesUntil, movesThroughAllLayers, showsLines, withLayers } from './lib/layers.js';
import { TEST_LIMIT, until } from './lib/wait.js';

for (const [codec, mode] of [
  ['VP9', 'L3T3_KEY'],
  ['AV1', 'L3T3'],
]) {
  test(`${codec} ${mode}: a subscriber moves through all layers on command`, TEST_LIMIT, async (t) => {
    await withLayers(t, { codec, mode }, async (room) => {
      const { ada, grace, step } = room;
      const sent = async () => (await ada.sent()).find(({ kind }) => kind === 'video');
      assert.deepEqual(
        (await ada.sent()).filter(({ kind }) => kind === 'video').map((row) => [row.codec, row.mode]),
        [[`video/${codec}`, mode]],
      );

      await step('sizes follow, and nothing freezes', () => movesThroughAllLayers(t, room, `video/${codec}`));

      await step('sizes without subscribers stop, and return within thirty frames', async () => {
        await grace.pin('Ada', { spatialLayer: 0, temporalLayer: 2 });
        await until('one size is encoded', async () => (await sent()).mode === 'L1T3');
        await until('the smallest', async () => (await sent()).height === 180);
        await showsLines(grace, 'Ada', 180);

        const back = framesUntil(ada, ([row]) => row.mode === mode);
        await grace.pin('Ada', { spatialLayer: 2, temporalLayer: 2 });
        const frames = await back;
        // The browser's estimate decides when the largest is encoded.
        await showsLines(grace, 'Ada', 720);
        t.diagnostic(`${codec}: all sizes are requested again after ${frames} frames`);
        assert.ok(frames <= BACK_FRAMES_MAX, `all sizes are requested after ${frames} frames`);
      });
    });
  });
}
