// werift publishes by WHIP and plays by WHEP, with Chromium in the same room.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Leat } from './lib/leat.js';
import { launch, Peer, withoutDevices } from './lib/peers.js';
import { Site } from './lib/site.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';
import { play, publish } from './lib/werift.js';
import { WhipPage } from './lib/whip.js';

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

async function reported(t, body) {
  try {
    await body();
  } catch (error) {
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  }
}

test('werift publishes VP8 and Opus, and Chromium decodes both', TEST_LIMIT, (t) =>
  reported(t, async () => {
    const room = 'publishes';
    const ada = await Peer.open(browser, leat.url, { room, name: 'Ada', camera: [withoutDevices] });
    let film;
    try {
      await ada.connected();
      film = await publish(`${leat.url}/whip/${room}?name=Film`);
      await ada.receives(['Film']);
      const start = { video: await ada.stream('Film', 'video'), audio: await ada.stream('Film', 'audio') };
      await until('frames and audio', async () => {
        const now = { video: await ada.stream('Film', 'video'), audio: await ada.stream('Film', 'audio') };
        return now.video.frames - start.video.frames >= FRAMES && now.audio.packets - start.audio.packets >= PACKETS;
      });
      assert.equal((await ada.stream('Film', 'video')).height, film.picture.height);
      assert.ok((await ada.stream('Film', 'audio')).energy > 0, 'the audio is not silence');
      assert.equal(await film.stop(), 200);
      film = undefined;
      await until('the publisher left', async () => (await ada.tiles()).length === 0);
      assert.deepEqual(ada.errors, []);
    } finally {
      await film?.stop();
      await ada.close();
    }
  }),
);

test('werift plays VP8 and Opus of Chromium', TEST_LIMIT, (t) =>
  reported(t, async () => {
    const room = 'plays';
    const camera = await WhipPage.open(browser, site, 'Camera');
    let player;
    try {
      await camera.publish(`${leat.url}/whip/${room}?name=Camera`, { codec: 'video/VP8' });
      player = await play(`${leat.url}/whep/${room}`);
      await until('frames and audio', () => player.frames >= FRAMES && player.packets >= PACKETS);
      const kept = player.frames;
      const { frames, printed } = await player.decode();
      assert.ok(frames >= kept, `ffmpeg decoded ${frames} of ${kept} frames\n${printed}`);
      assert.equal(await player.stop(), 200);
      player = undefined;
      assert.deepEqual(camera.errors, []);
    } finally {
      await player?.stop();
      await camera.close();
    }
  }),
);
