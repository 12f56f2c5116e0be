// Firefox with the block of docs/sdp.md, and Chromium in the web app. `firefox_direct.test.js` runs these tests in a
// namespace, because Firefox makes no candidates for loopback, and the block uses no TURN server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Bare, Pages } from './lib/bare.js';
import { FirefoxBare, launchFirefox } from './lib/firefox.js';
import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

const FRAMES = 60;
const PACKETS = 100;

let pages;
let leat;
let chromium;
let firefox;

before(async () => {
  pages = await Pages.start();
  leat = await Leat.start(['--allow-origin', pages.origin, '--listen-ip', process.env.LEAT_DIRECT_IP]);
  chromium = await launch();
  firefox = await launchFirefox();
});

after(async () => {
  await firefox?.close();
  await chromium?.close();
  await pages?.stop();
  await leat?.stop();
});

/** Runs a test in a room with Ada in the web app in Chromium, and Grace with the block in Firefox. */
async function inRoom(t, { room, publishes }, body) {
  const opened = [];
  try {
    const ada = await Peer.open(chromium, leat.url, { room, name: 'Ada' });
    opened.push(ada);
    await ada.connected();
    const grace = await FirefoxBare.open(firefox, pages, leat.url, { room, name: 'Grace', publishes });
    opened.push(grace);
    await body({ ada, grace });
    for (const { name, errors } of opened) assert.deepEqual(errors, [], `uncaught in the page of ${name}`);
    assert.equal(grace.count('server', 'error'), 0, 'a request of Grace was refused');
  } catch (error) {
    for (const { name, log = '', errors } of opened) t.diagnostic(`--- ${name}\n${log}\n${errors.join('\n')}`);
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await Promise.all(opened.map((one) => one.close()));
  }
}

/** Waits for this many frames of the picture and packets of the sound of the other one, and more of them than before. */
async function receives(name, rowsOf, kinds) {
  const start = await rowsOf();
  const of = (rows, kind) => rows.find((row) => row.kind === kind);
  let rows = start;
  const isWhole = (kind) => {
    const [was, now] = [of(start, kind) ?? { frames: 0, packets: 0, energy: 0 }, of(rows, kind)];
    if (now === undefined) return false;
    if (kind === 'video') return now.frames - was.frames >= FRAMES;
    return now.packets - was.packets >= PACKETS && now.energy > was.energy;
  };
  await until('', async () => {
    rows = await rowsOf();
    return kinds.every(isWhole);
  }).catch(() => assert.fail(`${name} should receive ${kinds}: ${JSON.stringify(rows)}`));
  return of(rows, 'video');
}

/** Both receive each other. Returns what is received of the videos. */
async function receiveEachOther({ ada, grace }, { kinds }) {
  const adaId = await grace.idOf('Ada');
  const [atAda, atGrace] = await Promise.all([
    receives('Ada', async () => (await ada.received()).filter(({ from }) => from === 'Grace'), kinds),
    receives('Grace', async () => (await grace.received()).filter(({ from }) => from === adaId), ['audio', 'video']),
  ]);
  return { atAda, atGrace };
}

test('Firefox with the block and the web app see and hear each other', TEST_LIMIT, (t) =>
  inRoom(t, { room: 'block', publishes: true }, async ({ ada, grace }) => {
    await receiveEachOther({ ada, grace }, { kinds: ['audio', 'video'] });
  }),
);

for (const codec of ['VP8', 'VP9', 'AV1']) {
  test(`${codec} of Firefox plays in the web app, and the other way round`, TEST_LIMIT, (t) =>
    inRoom(t, { room: codec, publishes: false }, async ({ ada, grace }) => {
      await grace.publish('video', { codec });
      const { atAda, atGrace } = await receiveEachOther({ ada, grace }, { kinds: ['video'] });
      assert.deepEqual([atAda.codec, atGrace.codec], [`video/${codec}`, `video/${codec}`]);
    }),
  );
}

test('Firefox stops and starts to send, and leaves', TEST_LIMIT, (t) =>
  inRoom(t, { room: 'changes', publishes: true }, async ({ ada, grace }) => {
    await receiveEachOther({ ada, grace }, { kinds: ['audio', 'video'] });
    const videos = async () => (await ada.received()).filter(({ from, kind }) => from === 'Grace' && kind === 'video').length;
    const index = await grace.publish('video');
    await until('Ada gets a second picture of Grace', async () => (await videos()) === 2);
    await grace.unpublish([index], { stop: true });
    await until('Ada gets one picture of Grace', async () => (await videos()) === 1);
    await receiveEachOther({ ada, grace }, { kinds: ['audio', 'video'] });
    await grace.page.goto('about:blank');
    await until('Ada is alone', async () => (await ada.tiles()).length === 0);
  }),
);

test('Firefox and Chromium with the blocks send each other messages on data channels', TEST_LIMIT, async (t) => {
  const [room, options] = ['chat', { publishes: false, chats: true }];
  const ada = await Bare.open(chromium, pages, leat.url, { room, name: 'Ada', ...options });
  const grace = await FirefoxBare.open(firefox, pages, leat.url, { room, name: 'Grace', ...options });
  try {
    for (const [from, to] of [
      [ada, grace],
      [grace, ada],
    ]) {
      const text = `I am ${from.name}`;
      await until(`${to.name} hears ${from.name}`, async () => {
        await from.page.evaluate((text) => window.say?.(text), text);
        return to.page.evaluate((text) => window.heard.some(([label, data]) => label === 'chat' && data === text), text);
      });
      assert.deepEqual(to.errors, []);
      assert.equal(to.count('server', 'error'), 0);
    }
  } catch (error) {
    for (const { name, log, errors } of [ada, grace]) t.diagnostic(`--- ${name}\n${log}\n${errors.join('\n')}`);
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await Promise.all([ada.close(), grace.close()]);
  }
});
