// Scalable streams: a camera in three sizes, all in one stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { movesThroughAllLayers, withLayers } from './lib/layers.js';

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
