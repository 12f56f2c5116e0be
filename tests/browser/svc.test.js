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
      const { rates, freezes } = await movesThroughAllLayers(room, `video/${codec}`);
      t.diagnostic(`${codec}: ${rates.map((rate) => rate.toFixed(1)).join(', ')} frames/s with 3, 2 and 1 temporal layers`);
      assert.equal(freezes, 0, 'freezes');
      assert.ok(rates[0] > rates[1] * 1.3 && rates[1] > rates[2] * 1.3, `frame rates ${rates}`);
    });
  });
}
