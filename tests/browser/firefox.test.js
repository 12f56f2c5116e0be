// Firefox in the web app, with Chromium in the same room.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FirefoxPeer, launchFirefox } from './lib/firefox.js';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

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
