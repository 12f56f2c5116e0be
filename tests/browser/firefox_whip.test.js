// Firefox with bare connections over WHIP and WHEP, with Chromium in the same room. On loopback, its media goes
// over the TURN servers of the answer. `firefox_direct.test.js` runs this file in a namespace with another address
// in LEAT_DIRECT_IP, to which Firefox sends directly.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchFirefox, openPage } from './lib/firefox.js';
import { Leat } from './lib/leat.js';
import { launch, Peer, withoutDevices } from './lib/peers.js';
import { Site } from './lib/site.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';
import { WhipPage } from './lib/whip.js';

const FRAMES = 60;
const DIRECT_IP = process.env.LEAT_DIRECT_IP;
const relays = DIRECT_IP === undefined;

let site;
let leat;
let chromium;
let firefox;
let rooms = 0;

before(async () => {
  site = await Site.start();
  leat = await Leat.start(relays ? [] : ['--listen-ip', DIRECT_IP]);
  chromium = await launch();
  firefox = await launchFirefox();
});

after(async () => {
  await firefox?.close();
  await chromium?.close();
  site?.stop();
  await leat?.stop();
});

/** Runs a test in its own room, with a page of another site in Firefox. */
async function withPage(t, body) {
  rooms += 1;
  const opened = await openPage(firefox, site.url);
  const page = WhipPage.over(opened, 'Firefox');
  try {
    await until('the page is loaded', () => page.run(() => window.whip !== undefined));
    await body({ room: `room-${rooms}`, page });
    assert.equal((await page.streams()).type, relays ? 'relay' : 'host', 'the type of the candidate of Firefox');
    assert.deepEqual(page.errors, [], 'uncaught in the page of Firefox');
  } catch (error) {
    t.diagnostic(`--- Firefox\n${page.errors.join('\n')}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await page.close();
  }
}

for (const codec of ['video/VP8', 'video/VP9']) {
  test(`Firefox publishes ${codec} by WHIP, and Chromium decodes it`, TEST_LIMIT, (t) =>
    withPage(t, async ({ room, page }) => {
      const ada = await Peer.open(chromium, leat.url, { room, name: 'Ada', camera: [withoutDevices] });
      await ada.connected();
      await page.publish(`${leat.url}/whip/${room}?name=Grace`, { codec, relays });
      await ada.receives(['Grace']);
      const start = await ada.stream('Grace', 'video');
      await until(`${FRAMES} frames`, async () => (await ada.stream('Grace', 'video')).frames - start.frames >= FRAMES);
      assert.equal((await ada.stream('Grace', 'video')).codec, codec);
      assert.equal(await page.stop(), 200);
      await until('Grace left', async () => (await ada.tiles()).length === 0);
      assert.deepEqual(ada.errors, []);
      await ada.close();
    }),
  );

  test(`Firefox plays ${codec} of Chromium by WHEP`, TEST_LIMIT, (t) =>
    withPage(t, async ({ room, page }) => {
      const camera = await WhipPage.open(chromium, site, 'Camera');
      await camera.publish(`${leat.url}/whip/${room}?name=Camera`, { codec });
      await page.play(`${leat.url}/whep/${room}`, { relays });
      const { received } = await page.receives({ frames: FRAMES });
      assert.equal(received.find(({ kind }) => kind === 'video').codec, codec);
      await page.shows();
      assert.equal(await page.stop(), 200);
      await camera.close();
    }),
  );
}

test('an ICE restart of Firefox keeps its streams', TEST_LIMIT, (t) =>
  withPage(t, async ({ room, page }) => {
    const ada = await Peer.open(chromium, leat.url, { room, name: 'Ada', camera: [withoutDevices] });
    await ada.connected();
    await page.publish(`${leat.url}/whip/${room}?name=Grace`, { relays });
    await ada.receives(['Grace']);
    const answer = await page.run(() => window.whip.restartIce(0));
    assert.equal(answer.status, 200, answer.body);
    const start = await ada.stream('Grace', 'video');
    await until(`${FRAMES} frames`, async () => (await ada.stream('Grace', 'video')).frames - start.frames >= FRAMES);
    assert.equal((await page.streams()).state, 'connected');
    await ada.close();
  }),
);
