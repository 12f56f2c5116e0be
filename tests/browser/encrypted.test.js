// Frames that the publisher has encrypted end to end: the engine cannot read them, and selects their layers
// by the dependency descriptor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encrypted, framesOpened, giveKey } from './lib/encryption.js';
import { movesThroughAllLayers, withLayers } from './lib/layers.js';
import { TEST_LIMIT, until } from './lib/wait.js';

/** Frames arrive, and without the key none of them is decoded; then the viewer gets the key. */
async function seesNothingWithoutTheKey(grace) {
  const row = () => grace.stream('Ada', 'video');
  await until('Grace receives', async () => (await row())?.packets > 100);
  const { frames } = await row();
  assert.equal(frames, 0, 'pictures without the key');
  await giveKey(grace);
}

for (const [codec, mode] of [
  ['VP8', 'L3T3'],
  ['VP9', 'L3T3_KEY'],
  ['AV1', 'L3T3'],
]) {
  test(`${codec} encrypted end to end: a subscriber moves through all layers on command`, TEST_LIMIT, async (t) => {
    const options = { codec, mode, options: encrypted, prepare: seesNothingWithoutTheKey };
    await withLayers(t, options, async (room) => {
      await movesThroughAllLayers(t, room, `video/${codec}`);
      const { frames } = await room.grace.stream('Ada', 'video');
      assert.ok((await framesOpened(room.grace)) >= frames, 'every picture was opened');
    });
  });
}
