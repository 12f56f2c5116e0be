// GStreamer's webrtcbin publishes by WHIP and plays by WHEP, with Chromium in the same room.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { ROOT } from './lib/leat.js';
import { withoutDevices } from './lib/peers.js';
import { ClientProcess } from './lib/process.js';
import { FRAMES, isGone, PACKETS, sees, WhipRooms } from './lib/whip_rooms.js';

/** Debian's: it has the bindings of GStreamer. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = join(ROOT, 'tests/browser/lib/webrtcbin.py');

const rooms = new WhipRooms();

/** Ended after the test. */
function webrtcbin(t, ...args) {
  const client = new ClientProcess('webrtcbin', PYTHON, [SCRIPT, ...args]);
  t.after(() => client.stop());
  return client;
}

for (const codec of ['vp8', 'h264']) {
  rooms.test(`webrtcbin publishes ${codec} and Opus, and Chromium decodes both`, async ({ t, peer, whip }) => {
    const ada = await peer('Ada', { camera: [withoutDevices] });
    const camera = webrtcbin(t, 'publish', whip('Camera'), codec);
    await camera.connected();
    const { video } = await sees(ada, 'Camera');
    assert.equal(`${video.codec.toLowerCase()} ${video.height}`, `video/${codec} 360`);
    assert.equal(await camera.stop(), 200);
    await isGone(ada, 'Camera');
  });

  rooms.test(`webrtcbin plays ${codec} and Opus of Chromium`, async ({ t, page, whip, whep }) => {
    const camera = await page('Camera');
    await camera.publish(whip('Camera'), { codec: `video/${codec.toUpperCase()}` });
    const player = webrtcbin(t, 'play', whep());
    await player.connected();
    await player.receives({ frames: FRAMES, packets: PACKETS });
    const streams = player.events.filter(({ event }) => event === 'stream').map((stream) => stream.codec);
    assert.deepEqual(streams.sort(), [codec.toUpperCase(), 'OPUS'].sort());
    assert.equal(await player.stop(), 200);
  });
}
