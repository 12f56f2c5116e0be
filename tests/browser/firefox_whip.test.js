// Firefox with bare connections over WHIP and WHEP, with Chromium in the same room. On loopback, its media goes
// over the TURN servers of the answer. `firefox_direct.test.js` runs this file in a namespace with another address
// in LEAT_DIRECT_IP, to which Firefox sends directly.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { launchFirefox, openPage } from './lib/firefox.js';
import { withoutDevices } from './lib/peers.js';
import { until } from './lib/wait.js';
import { WhipPage } from './lib/whip.js';
import { FRAMES, isGone, sees, WhipRooms } from './lib/whip_rooms.js';

const DIRECT_IP = process.env.LEAT_DIRECT_IP;
const relays = DIRECT_IP === undefined;

const rooms = new WhipRooms({ args: relays ? [] : ['--listen-ip', DIRECT_IP] });
let firefox;

before(async () => {
  firefox = await launchFirefox();
});

after(() => firefox?.close());

/** A test with `grace`, a page of another site in Firefox. */
function withFirefox(name, body) {
  rooms.test(name, async (room) => {
    const grace = await room.keep(WhipPage.over(await openPage(firefox, rooms.site.url), 'Grace'));
    await until('the page is loaded', () => grace.run(() => window.whip !== undefined));
    await body({ ...room, grace });
    assert.equal((await grace.streams()).type, relays ? 'relay' : 'host', 'the type of the candidate of Firefox');
  });
}

for (const codec of ['video/VP8', 'video/VP9']) {
  withFirefox(`Firefox publishes ${codec} by WHIP, and Chromium decodes it`, async ({ grace, peer, whip }) => {
    const ada = await peer('Ada', { camera: [withoutDevices] });
    await grace.publish(whip('Grace'), { codec, relays });
    const { video } = await sees(ada, 'Grace');
    assert.equal(video.codec, codec);
    assert.equal(await grace.stop(), 200);
    await isGone(ada, 'Grace');
  });

  withFirefox(`Firefox plays ${codec} of Chromium by WHEP`, async ({ grace, page, whip, whep }) => {
    const camera = await page('Camera');
    await camera.publish(whip('Camera'), { codec });
    await grace.play(whep(), { relays });
    const [{ received }] = await Promise.all([grace.receives({ frames: FRAMES }), grace.shows()]);
    assert.equal(received.find(({ kind }) => kind === 'video').codec, codec);
    assert.equal(await grace.stop(), 200);
  });
}

withFirefox('an ICE restart of Firefox keeps its streams', async ({ grace, peer, whip }) => {
  const ada = await peer('Ada', { camera: [withoutDevices] });
  await grace.publish(whip('Grace'), { relays });
  await ada.receives(['Grace']);
  const answer = await grace.run(() => window.whip.restartIce(0));
  assert.equal(answer.status, 200, answer.body);
  await sees(ada, 'Grace');
  assert.equal((await grace.streams()).state, 'connected');
});
