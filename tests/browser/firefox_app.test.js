// The main flows of the web app in Firefox, with Chromium in the same room: join, mute, a shared screen, files in both
// directions, a reload and the end of the call.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { choose, Files, hasState, openPanel, transfer } from './lib/files.js';
import { FirefoxPeer, launchFirefox } from './lib/firefox.js';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const FRAMES = 30;
const FILE_BYTES = 2_000_000;

let firefox;
let files;

before(async () => {
  files = new Files();
  firefox = await launchFirefox();
});

after(async () => {
  await firefox?.close();
  files.remove();
});

/** Runs in the page, before the app: a screen without the dialog in which a person chooses one. */
function paintScreen() {
  navigator.mediaDevices.getDisplayMedia = async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 400 });
    const context = canvas.getContext('2d');
    setInterval(() => {
      context.fillStyle = `hsl(${(performance.now() / 10) % 360} 70% 50%)`;
      context.fillRect(0, 0, 640, 400);
    }, 100);
    return canvas.captureStream();
  };
}

/** Runs in the page: the SHA-256 of a received file, in hexadecimal. */
async function hashOf(name) {
  const { store, call } = window.__leat;
  const { id } = [...store.getState().fileTransfers.values()].find(({ metadata }) => metadata.name === name);
  const hash = await crypto.subtle.digest('SHA-256', await call.files.result(id).arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A source of another participant, as a participant has it. */
const sourceOf = (peer, name, source) =>
  peer.page.evaluate(
    ([name, source]) => {
      const other = window.__leat.store.getState().call?.peers.find((one) => one.name === name);
      const found = other?.sources.find((one) => one.source === source);
      return found ? { paused: found.paused, hasTrack: found.track !== null } : null;
    },
    [name, source],
  );

const submit = (grace) => grace.page.click('form button[type="submit"]');
const press = (grace, label) => grace.page.click(`button[aria-label="${label}"]`);

test('the main flows of the web app in Firefox', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada'] }, async ({ leat, peers: [ada], step }) => {
    const grace = await FirefoxPeer.open(firefox, leat.url, {
      room: 'millpond',
      name: 'Grace',
      before: [[paintScreen]],
      joins: false,
    });
    const seen = async () => {
      await grace.connected();
      await grace.receives(['Ada']);
      await ada.receives(['Grace']);
      await seeAndHear([ada, grace], { frames: FRAMES });
    };
    try {
      await step('joins with the form, sees and hears', async () => {
        await submit(grace);
        await seen();
      });

      await step('mutes and unmutes microphone and camera', async () => {
        for (const [key, source] of [
          ['m', 'microphone'],
          ['v', 'camera'],
        ]) {
          for (const paused of [true, false]) {
            await grace.page.keyboard.press(key);
            await until(`the ${source} is ${paused ? 'off' : 'on'} at Ada`, async () => {
              return (await sourceOf(ada, 'Grace', source))?.paused === paused;
            });
          }
        }
        await seeAndHear([ada, grace], { frames: FRAMES, lostMax: 20 });
      });

      await step('shares a screen, and ends that', async () => {
        await press(grace, 'Share the screen');
        await until('Ada sees the screen', async () => {
          const row = (await ada.received()).find(({ from, source }) => from === 'Grace' && source === 'screen');
          return row?.frames > 5 && row.height > 0;
        });
        await press(grace, 'Stop sharing the screen');
        await until('the screen is gone', async () => (await sourceOf(ada, 'Grace', 'screen')) === null);
      });

      await step('receives a file', async () => {
        const { path, hash } = files.made('to-firefox.bin', FILE_BYTES);
        await openPanel(ada);
        await choose(ada, path);
        await hasState(grace, 'to-firefox.bin', 'offered');
        await grace.page.keyboard.press('f');
        await press(grace, 'Accept to-firefox.bin');
        for (const peer of [ada, grace]) await hasState(peer, 'to-firefox.bin', 'done');
        assert.equal(await grace.page.evaluate(hashOf, 'to-firefox.bin'), hash);
      });

      await step('sends a file', async () => {
        const { path, hash } = files.made('from-firefox.bin', FILE_BYTES);
        const input = await grace.page.$('.files input[type="file"]');
        await input.uploadFile(path);
        await hasState(ada, 'from-firefox.bin', 'offered');
        await ada.press('Accept from-firefox.bin');
        for (const peer of [ada, grace]) await hasState(peer, 'from-firefox.bin', 'done');
        assert.equal(await ada.page.evaluate(hashOf, 'from-firefox.bin'), hash);
        assert.equal((await transfer(ada, 'from-firefox.bin')).bytes, FILE_BYTES);
      });

      await step('is back after a reload', async () => {
        await grace.page.reload();
        await grace.page.waitForSelector('form button[type="submit"]');
        await submit(grace);
        await until('one tile of Grace', async () => (await ada.tiles()).join() === 'Grace');
        await seen();
      });

      await step('leaves', async () => {
        await press(grace, 'Leave the call');
        await until('Ada is alone', async () => (await ada.tiles()).length === 0);
        await grace.page.waitForSelector('form button[type="submit"]');
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
