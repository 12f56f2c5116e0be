// Scalable streams: a camera in three sizes, all in one stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { movesThroughAllLayers, showsLines, withLayers } from './lib/layers.js';
import { until } from './lib/wait.js';

for (const [codec, mode] of [
  ['VP9', 'L3T3_KEY'],
  ['AV1', 'L3T3'],
]) {
  test(`${codec} ${mode}: a subscriber moves through all layers on command`, { timeout: 90_000 }, async (t) => {
    await withLayers(t, { codec, mode }, async (room) => {
      const sent = (await room.ada.sent()).filter(({ kind }) => kind === 'video');
      assert.deepEqual(
        sent.map((row) => [row.codec, row.mode]),
        [[`video/${codec}`, mode]],
      );
      await movesThroughAllLayers(t, room, `video/${codec}`);
    });
  });
}

for (const [codec, mode] of [
  ['VP9', 'L3T3_KEY'],
  ['AV1', 'L3T3'],
]) {
  test(`${codec} ${mode}: sizes that nobody takes are not encoded, and are back within a second`, {
    timeout: 90_000,
  }, async (t) => {
    await withLayers(t, { codec, mode }, async ({ ada, grace }) => {
      const sent = async () => (await ada.sent()).find(({ kind }) => kind === 'video');
      await grace.pin('Ada', { spatialLayer: 0, temporalLayer: 2 });
      await until('one size is encoded', async () => (await sent()).mode === 'L1T3', { timeoutMs: 15_000 });
      await until('the smallest', async () => (await sent()).height === 180);
      await showsLines(grace, 'Ada', 180);

      const asked = await grace.pin('Ada', { spatialLayer: 2, temporalLayer: 2 });
      const isBack = async () => (await sent()).mode === mode && (await sent()).height === 720;
      await until('all sizes are encoded again', isBack, { everyMs: 20 });
      const encodedAfterMs = Date.now() - asked;
      await showsLines(grace, 'Ada', 720);
      t.diagnostic(`${codec}: encoded again ${encodedAfterMs} ms after it was asked for, shown after ${Date.now() - asked} ms`);
      assert.ok(encodedAfterMs < 1_000, `encoded again after ${encodedAfterMs} ms`);
    });
  });
}
