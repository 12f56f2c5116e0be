// Simulcast: a camera in three sizes, each in a separate stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BACK_FRAMES_MAX, framesUntil, mediaYml, movesThroughAllLayers, showsLines, withLayers } from './lib/layers.js';
import { CAPTURE_720, constrainCamera, withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { PATIENCE_MS, stopsChanging, TEST_LIMIT, until } from './lib/wait.js';

for (const codec of ['VP8', 'H264']) {
  test(`${codec} simulcast: a subscriber moves through all layers on command`, TEST_LIMIT, async (t) => {
    await withLayers(t, { codec, mode: 'L3T3' }, async (room) => {
      const { ada, grace, step } = room;
      const sent = (await ada.sent()).filter(({ kind }) => kind === 'video');
      assert.deepEqual(
        sent.map(({ rid }) => rid),
        ['r0', 'r1', 'r2'],
      );

      await step('sizes follow, and nothing freezes', () => movesThroughAllLayers(t, room, `video/${codec}`));

      if (codec !== 'VP8') return;
      await step('sizes without subscribers are switched off, and are back within thirty frames', async () => {
        await grace.pin('Ada', { spatialLayer: 0, temporalLayer: 2 });
        const top = async () => (await ada.sent()).find(({ rid }) => rid === 'r2');
        await until('the large one is off', async () => !(await top()).active);
        await until('the middle one is off', async () => !(await ada.sent()).find(({ rid }) => rid === 'r1').active);
        const still = await stopsChanging('the large one', async () => (await top()).frames);

        const back = framesUntil(ada, (rows) => rows.find(({ rid }) => rid === 'r2').active);
        await grace.pin('Ada', { spatialLayer: 2, temporalLayer: 2 });
        const frames = await back;
        // The browser's estimate decides when it is encoded.
        await until('it is encoded again', async () => (await top()).frames > still);
        await showsLines(grace, 'Ada', 720);
        t.diagnostic(`switched on ${frames} frames after the request`);
        assert.ok(frames <= BACK_FRAMES_MAX, `switched on after ${frames} frames`);
      });
    });
  });
}

test('the uplink of a publisher ramps to 2.5 Mbit/s, and all sizes are sent', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: [], media: mediaYml('VP8', 'L3T3'), frameRate: CAPTURE_720.frameRate }, async ({ enter }) => {
    const grace = await enter('Grace', { camera: [withoutDevices] });
    await grace.connected();
    const ada = await enter('Ada', { camera: [constrainCamera, CAPTURE_720] });
    const sizes = async () => (await ada.sent()).filter(({ kind, frames }) => kind === 'video' && frames > 0);
    await until('Ada sends', async () => (await sizes()).length > 0, { everyMs: 20 });
    const began = Date.now();
    // Without feedback it stays at its initial 300 kbit/s. Below five seconds on an idle machine.
    await until('2.5 Mbit/s', async () => (await ada.uplinkEstimate()) >= 2_500_000, { timeoutMs: 3 * PATIENCE_MS, everyMs: 20 });
    const rampedMs = Date.now() - began;
    await until('all sizes', async () => (await sizes()).length === 3, { everyMs: 20 });
    t.diagnostic(`2.5 Mbit/s ${rampedMs} ms after the first frame, all sizes after ${Date.now() - began} ms`);
  });
});
