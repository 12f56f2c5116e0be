// One subscriber behind a slow link, and one behind a fast link: each gets the encoding that fits its link.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOPBACK } from './lib/family.js';
import { encoded, showsLines } from './lib/layers.js';
import { behindLink, Link } from './lib/link.js';
import { CAPTURE_720, changingCamera, constrainCamera, progress, withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

/**
 * Three sizes with one frame rate each: with several, the engine rightly prefers a larger picture at half its
 * frames, and a link that carries half the frames of the middle size would get that.
 */
const MEDIA = 'video:\n  scalabilityMode: L3T1\n';
/**
 * With this number of spots the middle size costs its full bitrate, and the smallest keeps its frame rate.
 * The fake camera's middle size needs about 400 kbit/s, and might or might not fit.
 */
const CHANGING = { width: 1280, height: 720, frameRate: 15, spots: 28 };
/** A bad mobile connection: it carries the smallest encoding and audio, but neither of the larger ones. */
const THIN = { bitsPerSecond: 400_000, queueMs: 200 };

/** The bandwidth of both links is found within this many frames. */
const SETTLING_FRAMES = 300;
/** Thirty seconds of the camera. */
const WATCHED_FRAMES = 450;
/**
 * Two seconds of the camera: a picture without a new frame during this many frames of its sender is frozen.
 * This process emulates the link; when a busy machine gives it no CPU time, it loses packets, and their
 * repair takes a while.
 */
const STILL_FRAMES_MAX = 30;

test('a subscriber behind 400 kbit/s gets the lowest encoding without freezes, another the highest', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: [], media: MEDIA, frameRate: CHANGING.frameRate }, async ({ leat, enter, step }) => {
    const link = await Link.open(leat.rtcPorts, THIN);
    try {
      const ada = await enter('Ada', { camera: [constrainCamera, CAPTURE_720], before: [[changingCamera, CHANGING]] });
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
      await showsLines(wide, 'Ada', 720);
      const settled = (await encoded(ada)) + SETTLING_FRAMES;
      await until('the estimates settle', async () => (await encoded(ada)) >= settled);

      const pairs = (await thin.pairs()).filter(({ direction }) => direction === 'recv');
      assert.equal(pairs.length, 1);
      assert.ok(Object.values(link.ports).includes(pairs[0].port), `the thin link is gone around: ${JSON.stringify(pairs)}`);

      const start = {
        wide: await wide.received(),
        thin: await thin.received(),
        bytes: link.carried.bytes,
        dropped: link.dropped,
      };
      const heights = { wide: new Set(), thin: new Set() };
      const end = (await encoded(ada)) + WATCHED_FRAMES;
      /**
       * By viewer: its last count of frames, the sender's count at that time, and its longest freeze in
       * frames.
       */
      const moves = { wide: [-1, 0, 0], thin: [-1, 0, 0] };
      await until(
        `Ada encodes ${WATCHED_FRAMES} frames`,
        async () => {
          for (const [who, peer] of Object.entries({ wide, thin })) {
            const [sent, row] = [await encoded(ada), await peer.stream('Ada', 'video')];
            heights[who].add(row.height);
            const [decoded, since, still] = moves[who];
            moves[who] =
              row.frames === decoded ? [decoded, since, Math.max(still, sent - since)] : [row.frames, await encoded(ada), still];
          }
          return (await encoded(ada)) >= end;
        },
        { timeoutMs: 5 * PATIENCE_MS },
      );
      const video = async (peer, before) => progress(before, await peer.received()).find(({ kind }) => kind === 'video');
      const seen = { wide: await video(wide, start.wide), thin: await video(thin, start.thin) };
      const carried = link.carried.bytes - start.bytes;
      for (const who of ['wide', 'thin'])
        t.diagnostic(
          `${who}: ${JSON.stringify(seen[who])}, lines ${[...heights[who]].join(' ')}, frozen for at most ${moves[who][2]} frames`,
        );
      t.diagnostic(
        `the thin link carried ${carried} bytes and dropped ${link.dropped - start.dropped} datagrams, ${start.dropped} before`,
      );

      await step('the viewer behind the slow link always sees the smallest picture', () => {
        assert.deepEqual([...heights.thin], [180]);
        // All of it came through the link.
        assert.ok(carried > seen.thin.bytes, `${carried} bytes came over the link, and ${seen.thin.bytes} arrived`);
      });

      await step('it does not freeze', () => {
        assert.ok(moves.thin[2] < STILL_FRAMES_MAX, `the picture was frozen for ${moves.thin[2]} frames`);
      });

      await step('the other viewer always sees the largest picture', () => {
        assert.deepEqual([...heights.wide], [720]);
        assert.ok(moves.wide[2] < STILL_FRAMES_MAX, `the picture was frozen for ${moves.wide[2]} frames`);
      });
    } finally {
      await link.close();
    }
  });
});
