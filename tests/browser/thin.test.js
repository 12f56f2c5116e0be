// A subscriber whose link carries little, beside one whose link carries everything: each gets the encoding that fits it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOPBACK } from './lib/family.js';
import { showsLines } from './lib/layers.js';
import { behindLink, Link } from './lib/link.js';
import { CAPTURE_720, constrainCamera, progress, restlessCamera, withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { sleep } from './lib/wait.js';

/**
 * Three sizes in one frame rate each: the engine rightly takes a larger picture at half its frames for the better one, and a link that carries half the frames of the
 * middle size would get that.
 */
const MEDIA = 'video:\n  scalabilityMode: L3T1\n';
/**
 * So many spots make the middle size cost what it may, and leave the smallest its frames. The fake camera's middle size comes to about 400 kbit/s, and
 * whether that fits is a close call.
 */
const RESTLESS = { width: 1280, height: 720, frameRate: 15, spots: 28 };
/** A bad mobile connection: it carries the smallest encoding and sound, and neither of the others. */
const THIN = { bitsPerSecond: 400_000, queueMs: 200 };

/** For the estimates to find what the links carry. */
const SETTLING_MS = 20_000;
const WATCHED_S = 30;
const FROZEN_MAX_S = 1;

test('a subscriber behind 400 kbit/s gets the lowest encoding without freezes, another the highest', {
  timeout: 150_000,
}, async (t) => {
  await inRoom(t, { names: [], media: MEDIA, frameRate: RESTLESS.frameRate }, async ({ leat, enter, step }) => {
    const link = await Link.open(leat.rtcPorts, THIN);
    try {
      const ada = await enter('Ada', { camera: [constrainCamera, CAPTURE_720], before: [[restlessCamera, RESTLESS]] });
      await ada.connected();
      const wide = await enter('Grace', { camera: [withoutDevices] });
      const thin = await enter('Edsger', {
        camera: [withoutDevices],
        before: [[behindLink, { ports: link.ports, host: LOOPBACK }]],
      });
      for (const peer of [wide, thin]) {
        await peer.connected();
        await peer.receives(['Ada']);
        await peer.pin('Ada', { spatialLayer: 2, temporalLayer: 0 });
      }
      await showsLines(wide, 'Ada', 720, SETTLING_MS);
      await sleep(SETTLING_MS);

      const pairs = (await thin.pairs()).filter(({ direction }) => direction === 'recv');
      assert.equal(pairs.length, 1);
      assert.ok(Object.values(link.ports).includes(pairs[0].port), `the thin link is gone around: ${JSON.stringify(pairs)}`);

      const start = {
        wide: await wide.received(),
        thin: await thin.received(),
        bytes: link.carried.bytes,
        dropped: link.dropped,
      };
      const heights = { wide: [], thin: [] };
      const frames = [];
      for (let second = 0; second < WATCHED_S; second += 1) {
        await sleep(1_000);
        heights.wide.push((await wide.stream('Ada', 'video')).height);
        const row = await thin.stream('Ada', 'video');
        heights.thin.push(row.height);
        frames.push(row.frames);
      }
      const video = async (peer, before) => progress(before, await peer.received()).find(({ kind }) => kind === 'video');
      const seen = { wide: await video(wide, start.wide), thin: await video(thin, start.thin) };
      const carried = link.carried.bytes - start.bytes;
      for (const who of ['wide', 'thin']) t.diagnostic(`${who}: ${JSON.stringify(seen[who])}, lines ${heights[who].join(' ')}`);
      t.diagnostic(
        `the thin link carried ${carried} bytes and dropped ${link.dropped - start.dropped} datagrams, ${start.dropped} before`,
      );

      await step('the thin one sees the smallest picture, all the time', () => {
        assert.deepEqual([...new Set(heights.thin)], [180]);
        // It all came through the link.
        assert.ok(carried > seen.thin.bytes, `${carried} bytes came over the link, and ${seen.thin.bytes} arrived`);
      });

      await step('it does not freeze', () => {
        assert.ok(seen.thin.frames >= WATCHED_S * 5, `${seen.thin.frames} frames in ${WATCHED_S} s`);
        // The browser counts a freeze when it ends: one that has not ended shows here.
        assert.equal(new Set(frames).size, WATCHED_S, `frames decoded, second by second: ${frames}`);
        assert.ok(seen.thin.frozenS < FROZEN_MAX_S, `frozen for ${seen.thin.frozenS} s of ${WATCHED_S}`);
      });

      await step('the other one sees the largest, all the time', () => {
        assert.deepEqual([...new Set(heights.wide)], [720]);
        assert.ok(seen.wide.frames >= WATCHED_S * 5, `${seen.wide.frames} frames in ${WATCHED_S} s`);
      });
    } finally {
      await link.close();
    }
  });
});
