// Simulcast: a camera in three sizes, each a stream of its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaYml, movesThroughAllLayers, showsLines, withLayers } from './lib/layers.js';
import { CAPTURE_720, constrainCamera, withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
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

test('the uplink of a publisher ramps to 2.5 Mbit/s, and all sizes are sent, within five seconds', {
  timeout: 60_000,
}, async (t) => {
  await inRoom(t, { names: [], media: mediaYml('VP8', 'L3T3'), frameRate: CAPTURE_720.frameRate }, async ({ enter }) => {
    const grace = await enter('Grace', { camera: [withoutDevices] });
    await grace.connected();
    const ada = await enter('Ada', { camera: [constrainCamera, CAPTURE_720] });
    const sizes = async () => (await ada.sent()).filter(({ kind, frames }) => kind === 'video' && frames > 0);
    await until('Ada sends', async () => (await sizes()).length > 0, { timeoutMs: 20_000, everyMs: 20 });
    const began = Date.now();
    await until('2.5 Mbit/s', async () => (await ada.uplinkEstimate()) >= 2_500_000, { everyMs: 20 });
    const rampedMs = Date.now() - began;
    await until('all sizes', async () => (await sizes()).length === 3, { everyMs: 20 });
    const allMs = Date.now() - began;
    t.diagnostic(`2.5 Mbit/s ${rampedMs} ms after the first frame, all sizes after ${allMs} ms`);
    assert.ok(rampedMs < 5_000 && allMs < 5_000, `2.5 Mbit/s after ${rampedMs} ms, all sizes after ${allMs} ms`);
  });
});
