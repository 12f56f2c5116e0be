// Audio and video of one peer stay in sync, however often the layer changes.

import { test } from 'node:test';
import { withLayers } from './lib/layers.js';
import { rounds } from './lib/rounds.js';
import { PATIENCE_MS, sleep, TEST_LIMIT, until } from './lib/wait.js';

const SWITCHES = rounds({ few: 40, many: 100 });
/** About half the offset that people notice. */
const OFFSET_MAX_MS = 40;
/**
 * On a busy machine the browser buffers more audio; it reduces that buffer, and the video's with it, by some
 * milliseconds a second.
 */
const SETTLE_MS = 3 * PATIENCE_MS;

/**
 * The time by which the video is ahead of the audio, in milliseconds: the median over two seconds. The
 * browser computes it from the times in our sender reports.
 */
async function offset(peer) {
  const offsets = [];
  for (let sample = 0; sample < 11; sample += 1) {
    const rows = await peer.received();
    const playout = (wanted) => rows.find(({ kind }) => kind === wanted).playout;
    if (playout('audio') > 0 && playout('video') > 0) offsets.push(playout('video') - playout('audio'));
    await sleep(200);
  }
  return offsets.sort((a, b) => a - b)[Math.floor(offsets.length / 2)] ?? Number.POSITIVE_INFINITY;
}

test(`after ${SWITCHES} switches of layers sound and picture are in sync`, TEST_LIMIT, async (t) => {
  await withLayers(t, { codec: 'VP8', mode: 'L3T1' }, async ({ grace }) => {
    const order = [0, 2, 1];
    for (let number = 0; number < SWITCHES; number += 1) {
      const spatialLayer = order[number % order.length];
      await grace.pin('Ada', { spatialLayer, temporalLayer: 0 });
      const arrived = async () => (await grace.layersOf('Ada'))?.spatialLayer === spatialLayer;
      await until(`switch ${number} to ${spatialLayer}`, arrived, { everyMs: 20 });
    }

    const seen = [];
    const together = async () => {
      seen.push(await offset(grace));
      return Math.abs(seen.at(-1)) < OFFSET_MAX_MS;
    };
    await until('sound and picture are in sync', together, { timeoutMs: SETTLE_MS }).catch((error) => {
      throw new Error(`${error.message}; the picture was ahead by ${seen.join(', ')} ms`);
    });
    t.diagnostic(`the picture is ahead of the sound by ${seen.map((ms) => ms.toFixed(0)).join(', then ')} ms`);
  });
});
