// Firefox with Chromium in the same room: in the web app, and with bare connections over WHIP and WHEP.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FirefoxPeer, launchFirefox, openPage } from './lib/firefox.js';
import { Leat } from './lib/leat.js';
import { seeAndHear } from './lib/meeting.js';
import { launch, Peer, withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { Site } from './lib/site.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';
import { WhipPage } from './lib/whip.js';

const FRAMES = 60;

let firefox;

before(async () => {
  firefox = await launchFirefox();
});

after(() => firefox?.close());

test('Firefox and Chromium see and hear each other in the web app', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada'] }, async ({ leat, peers: [ada], step }) => {
    const grace = await FirefoxPeer.open(firefox, leat.url, { room: 'millpond', name: 'Grace' });
    try {
      await step('both receive each other', async () => {
        await grace.connected();
        await grace.receives(['Ada']);
        await ada.receives(['Grace']);
        await seeAndHear([ada, grace], { frames: FRAMES });
        t.diagnostic(`${await firefox.version()}: ${JSON.stringify(await grace.received())}`);
      });

      await step('the media of Firefox is encrypted by DTLS and SRTP', async () => {
        const transports = await grace.transports();
        assert.equal(transports.length, 2, JSON.stringify(transports));
        for (const { dtlsState, srtpCipher } of transports) {
          assert.equal(dtlsState, 'connected');
          assert.match(srtpCipher, /AES/);
        }
      });

      await step('Firefox leaves, and Chromium is alone', async () => {
        await grace.page.click('button[aria-label="Leave the call"]');
        await until('Ada is alone', async () => (await ada.tiles()).length === 0);
      });
      assert.deepEqual(grace.errors, [], 'uncaught in the page of Grace');
    } catch (error) {
      const history = await grace.history().catch(() => []);
      t.diagnostic(`--- Grace\n${history.map(({ what }) => what).join('\n')}`);
      throw error;
    } finally {
      await grace.close();
    }
  });
});

/** Runs a test with a server, Chromium, and a page of another site in Firefox. */
async function withPage(t, body) {
  const site = await Site.start();
  const leat = await Leat.start();
  const chromium = await launch();
  const opened = await openPage(firefox, site.url);
  const page = WhipPage.over(opened, 'Firefox');
  try {
    await until('the page is loaded', () => page.run(() => window.whip !== undefined));
    await body({ leat, site, chromium, page });
    assert.deepEqual(page.errors, [], 'uncaught in the page of Firefox');
  } catch (error) {
    t.diagnostic(`--- Firefox\n${page.errors.join('\n')}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await page.close();
    await chromium.close();
    await leat.stop();
    site.stop();
  }
}

for (const codec of ['video/VP8', 'video/VP9']) {
  test(`Firefox publishes ${codec} by WHIP, and Chromium decodes it`, TEST_LIMIT, (t) =>
    withPage(t, async ({ leat, chromium, page }) => {
      const room = 'millpond';
      const ada = await Peer.open(chromium, leat.url, { room, name: 'Ada', camera: [withoutDevices] });
      await ada.connected();
      await page.publish(`${leat.url}/whip/${room}?name=Grace`, { codec });
      await ada.receives(['Grace']);
      const start = await ada.stream('Grace', 'video');
      await until(`${FRAMES} frames`, async () => (await ada.stream('Grace', 'video')).frames - start.frames >= FRAMES);
      assert.equal((await ada.stream('Grace', 'video')).codec, codec);
      assert.equal(await page.stop(), 200);
      await until('Grace left', async () => (await ada.tiles()).length === 0);
      assert.deepEqual(ada.errors, []);
    }),
  );

  test(`Firefox plays ${codec} of Chromium by WHEP`, TEST_LIMIT, (t) =>
    withPage(t, async ({ leat, site, chromium, page }) => {
      const room = 'millpond';
      const camera = await WhipPage.open(chromium, site, 'Camera');
      await camera.publish(`${leat.url}/whip/${room}?name=Camera`, { codec });
      await page.play(`${leat.url}/whep/${room}`);
      const { received } = await page.receives({ frames: FRAMES });
      assert.equal(received.find(({ kind }) => kind === 'video').codec, codec);
      const [picture] = await page.shows();
      assert.equal(`${picture.width}×${picture.height}`, '640×360');
      assert.equal(await page.stop(), 200);
    }),
  );
}

test('an ICE restart of Firefox keeps its streams', TEST_LIMIT, (t) =>
  withPage(t, async ({ leat, chromium, page }) => {
    const room = 'millpond';
    const ada = await Peer.open(chromium, leat.url, { room, name: 'Ada', camera: [withoutDevices] });
    await ada.connected();
    await page.publish(`${leat.url}/whip/${room}?name=Grace`);
    await ada.receives(['Grace']);
    const answer = await page.run(() => window.whip.restartIce(0));
    assert.equal(answer.status, 200, answer.body);
    const start = await ada.stream('Grace', 'video');
    await until(`${FRAMES} frames`, async () => (await ada.stream('Grace', 'video')).frames - start.frames >= FRAMES);
    assert.equal((await page.streams()).state, 'connected');
  }),
);
