// Encrypted calls between Firefox and Chromium: the keys, the pictures of each codec in both directions, and a participant
// that joins and leaves.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encrypted, encryptionWith, framesOf, haveKeys, keysOf, recordKeys } from './lib/encryption.js';
import { FirefoxPeer, launchFirefox } from './lib/firefox.js';
import { seeAndHear } from './lib/meeting.js';
import { withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const FRAMES = 45;

let firefox;

before(async () => {
  firefox = await launchFirefox();
});

after(() => firefox?.close());

/** More frames of each other are decrypted. */
async function decrypt(peers) {
  for (const [peer, other] of [peers, [...peers].reverse()]) {
    const { opened } = await framesOf(peer, other.name);
    await until(`${peer.name} decrypts frames of ${other.name}`, async () => {
      return (await framesOf(peer, other.name)).opened > opened + FRAMES;
    });
  }
}

for (const codec of ['VP8', 'VP9', 'AV1']) {
  test(`${codec} and Opus encrypted between Firefox and Chromium`, TEST_LIMIT, async (t) => {
    const media = `video:\n  codecs:\n    - name: ${codec}\n      priority: 100\n`;
    await inRoom(t, { names: [], media }, async ({ leat, enter }) => {
      const before = [[recordKeys]];
      const ada = await enter('Ada', { ...encrypted, before });
      const grace = await FirefoxPeer.open(firefox, leat.url, { room: 'millpond', name: 'Grace', before, ...encrypted });
      const both = [ada, grace];
      try {
        await haveKeys(...both);
        await ada.receives(['Grace']);
        await grace.receives(['Ada']);
        await seeAndHear(both, { frames: FRAMES });
        assert.equal((await grace.stream('Ada', 'video')).codec, `video/${codec}`);
        const ofFirefox = (await ada.stream('Grace', 'video')).codec;
        t.diagnostic(`${await firefox.version()} sends ${ofFirefox}`);
        assert.equal(ofFirefox, `video/${codec}`);
        await decrypt(both);
        const [number, other] = [await encryptionWith(ada, 'Grace'), await encryptionWith(grace, 'Ada')];
        assert.equal(number.safetyNumber, other.safetyNumber);

        const keys = async () => Promise.all(both.map(async (peer) => (await keysOf(peer)).length));
        const alone = await keys();
        const linus = await enter('Linus', { ...encrypted, camera: [withoutDevices] });
        await haveKeys(...both, linus);
        for (const { name } of both)
          await until(`Linus decrypts ${name}`, async () => (await framesOf(linus, name)).opened > FRAMES);
        const joined = await keys();
        await linus.close();
        await until('both have new keys', async () => (await keys()).every((count, at) => count > joined[at]));
        for (const at of both.keys()) assert.ok(joined[at] > alone[at], `new keys after a join: ${alone} ${joined}`);
        await decrypt(both);
        for (const [peer, { name }] of [both, [grace, ada]]) {
          const counts = await framesOf(peer, name);
          assert.equal(counts.wrongKey, 0, JSON.stringify(counts));
        }
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
}
