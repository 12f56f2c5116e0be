// werift publishes by WHIP and plays by WHEP, with Chromium in the same room.

import assert from 'node:assert/strict';
import { withoutDevices } from './lib/peers.js';
import { until } from './lib/wait.js';
import { play, publish } from './lib/werift.js';
import { FRAMES, isGone, PACKETS, sees, WhipRooms } from './lib/whip_rooms.js';

const rooms = new WhipRooms();

rooms.test('werift publishes VP8 and Opus, and Chromium decodes both', async ({ t, peer, whip }) => {
  const ada = await peer('Ada', { camera: [withoutDevices] });
  const film = await publish(whip('Film'));
  t.after(() => film.stop());
  const { video } = await sees(ada, 'Film');
  assert.equal(video.height, film.picture.height);
  assert.equal(await film.stop(), 200);
  await isGone(ada, 'Film');
});

rooms.test('werift plays VP8 and Opus of Chromium', async ({ t, page, whip, whep }) => {
  const camera = await page('Camera');
  await camera.publish(whip('Camera'), { codec: 'video/VP8' });
  const player = await play(whep({ ssrc: true }));
  t.after(() => player.stop());
  await until('frames and audio', () => player.frames >= FRAMES && player.packets >= PACKETS);
  const kept = player.frames;
  const { frames, printed } = await player.decode();
  assert.ok(frames >= kept, `ffmpeg decoded ${frames} of ${kept} frames\n${printed}`);
  assert.equal(await player.stop(), 200);
});
