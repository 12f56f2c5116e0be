// GStreamer's webrtcbin publishes by WHIP and plays by WHEP, with Chromium in the same room.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Leat, ROOT } from './lib/leat.js';
import { launch, Peer, withoutDevices } from './lib/peers.js';
import { ClientProcess } from './lib/process.js';
import { Site } from './lib/site.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';
import { WhipPage } from './lib/whip.js';

/** Debian's: it has the bindings of GStreamer. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = join(ROOT, 'tests/browser/lib/webrtcbin.py');
const FRAMES = 60;
const PACKETS = 100;

let leat;
let site;
let browser;

before(async () => {
  site = await Site.start();
  leat = await Leat.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  site?.stop();
  await leat?.stop();
});

const webrtcbin = (...args) => new ClientProcess('webrtcbin', PYTHON, [SCRIPT, ...args]);

async function reported(t, body) {
  try {
    await body();
  } catch (error) {
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  }
}

for (const codec of ['vp8', 'h264']) {
  test(`webrtcbin publishes ${codec} and Opus, and Chromium decodes both`, TEST_LIMIT, (t) =>
    reported(t, async () => {
      const room = `publishes-${codec}`;
      const ada = await Peer.open(browser, leat.url, { room, name: 'Ada', camera: [withoutDevices] });
      const camera = webrtcbin('publish', `${leat.url}/whip/${room}?name=Camera`, codec);
      try {
        await ada.connected();
        await camera.connected();
        await ada.receives(['Camera']);
        const start = { video: await ada.stream('Camera', 'video'), audio: await ada.stream('Camera', 'audio') };
        await until('frames and audio', async () => {
          const now = { video: await ada.stream('Camera', 'video'), audio: await ada.stream('Camera', 'audio') };
          return now.video.frames - start.video.frames >= FRAMES && now.audio.packets - start.audio.packets >= PACKETS;
        });
        const { codec: decoded, height } = await ada.stream('Camera', 'video');
        assert.equal(`${decoded.toLowerCase()} ${height}`, `video/${codec} 360`);
        assert.ok((await ada.stream('Camera', 'audio')).energy > 0, 'the audio is not silence');
        assert.equal(await camera.stop(), 200);
        await until('the publisher left', async () => (await ada.tiles()).length === 0);
        assert.deepEqual(ada.errors, []);
      } finally {
        await camera.stop();
        await ada.close();
      }
    }),
  );

  test(`webrtcbin plays ${codec} and Opus of Chromium`, TEST_LIMIT, (t) =>
    reported(t, async () => {
      const room = `plays-${codec}`;
      const camera = await WhipPage.open(browser, site, 'Camera');
      await camera.publish(`${leat.url}/whip/${room}?name=Camera`, { codec: `video/${codec.toUpperCase()}` });
      const player = webrtcbin('play', `${leat.url}/whep/${room}`);
      try {
        await player.connected();
        await player.receives({ frames: FRAMES, packets: PACKETS });
        const streams = player.events.filter(({ event }) => event === 'stream').map((stream) => stream.codec);
        assert.deepEqual(streams.sort(), [codec.toUpperCase(), 'OPUS'].sort());
        assert.equal(await player.stop(), 200);
        assert.deepEqual(camera.errors, []);
      } finally {
        await player.stop();
        await camera.close();
      }
    }),
  );
}
