// Data channels and files of a room whose peers are on two workers of the engine.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Pages } from './lib/bare.js';
import { CHANNELS, openChannels } from './lib/channels.js';
import { choose, Files, hasState, openPanel } from './lib/files.js';
import { Leat } from './lib/leat.js';
import { launch } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { CHANNEL_PAGES, openPeer, reachEachOther } from './lib/sdp_channels.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

/** Every room is spread over both workers from its first peer on. */
const SPREAD = ['--spread-above', '0'];
/** The longest message that the engine accepts. */
const LONGEST = 256 * 1024;

let leat;
let browser;
let pages;
let files;

before(async () => {
  files = new Files();
  pages = await Pages.start({ ...CHANNEL_PAGES, channels: CHANNELS });
  leat = await Leat.start([...SPREAD, '--allow-origin', pages.origin]);
  browser = await launch();
});

after(async () => {
  files?.remove();
  await browser?.close();
  await pages?.stop();
  await leat?.stop();
});

/** Runs the body with `open(…)`, and closes the pages that it has returned. */
async function withPages(t, open, body) {
  const all = [];
  try {
    await body(async (...args) => {
      const page = await open(...args);
      all.push(page);
      return page;
    });
    for (const page of all) assert.deepEqual(page.errors, []);
  } catch (error) {
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await Promise.all(all.map((page) => page.context().close()));
  }
}

/** The port of the engine that a connection uses: each worker has one. `of`: its name in the window. */
const portOf = (page, of) =>
  page.evaluate(async (of) => {
    const connection = window[of].connection ?? window[of];
    const stats = await connection.getStats();
    const transport = [...stats.values()].find(({ type }) => type === 'transport');
    return stats.get(stats.get(transport.selectedCandidatePairId).remoteCandidateId).port;
  }, of);

/** The ports of all workers are among these. */
function areAtBothWorkers(ports) {
  assert.deepEqual([...new Set(ports)].sort(), leat.rtcPorts);
}

test('messages of all lengths reach a peer at another worker in order, and so does the end', TEST_LIMIT, async (t) => {
  const open = (name) => openChannels(browser, pages, leat.url, 'spread-channels', name);
  await withPages(t, open, async (open) => {
    const [ada, bob, cyn] = [await open('Ada'), await open('Bob'), await open('Cyn')];
    areAtBothWorkers(await Promise.all([ada, bob, cyn].map((page) => portOf(page, 'pc'))));
    const receivers = [bob, cyn];
    for (const round of [1, 2]) {
      const id = await ada.evaluate(() => window.send(4));
      for (const page of receivers) {
        await until('it is announced', () => page.evaluate(() => window.known().includes('to-4')));
        await page.evaluate(() => window.receive('to-4'));
      }
      const sizes = [10, 1, 1_000, 70_000, 20, LONGEST, 0, 5, 100_000, round];
      const sent = await ada.evaluate((sizes) => window.sendAll(4, sizes), sizes);
      for (const page of receivers) {
        const digests = () => page.evaluate(() => window.digests('to-4'));
        await until('all messages arrive', async () => (await digests()).length === sent.length);
        assert.deepEqual(await digests(), sent);
      }
      await ada.evaluate((dataProducerId) => window.ask('closeDataProducer', { dataProducerId }, 'ack'), id);
      for (const page of receivers) {
        await until('the receiver is closed', () => page.evaluate(() => window['in-to-4'].hasClosed));
        await page.evaluate(() => window.forget());
      }
      await until('the sender is closed', () => ada.evaluate(() => window.out4.hasClosed));
    }
  });
});

test('bare connections and a call at two workers send each other messages', TEST_LIMIT, async (t) => {
  const open = (kind, name) => openPeer(browser, pages, leat.url, kind, { room: 'spread-bare', name });
  await withPages(t, open, async (open) => {
    const [ada, bob, cyn] = [await open('peer', 'Ada'), await open('peer', 'Bob'), await open('call', 'Cyn')];
    for (const page of [ada, bob, cyn]) await page.evaluate(() => window.join());
    await reachEachOther({ Ada: ada, Bob: bob, Cyn: cyn }, 'first');
    // Who comes later gets the channels of both workers, too.
    const dan = await open('peer', 'Dan');
    await dan.evaluate(() => window.join());
    await reachEachOther({ Ada: ada, Bob: bob, Cyn: cyn, Dan: dan }, 'second');
    areAtBothWorkers(await Promise.all([ada, bob, dan].map((page) => portOf(page, 'peer'))));
    await dan.evaluate(() => window.peer.close());
    for (const page of [ada, bob])
      await until('the channel of Dan is closed', () => page.evaluate(() => window.ended.includes('in chat')));
    await reachEachOther({ Ada: ada, Bob: bob, Cyn: cyn }, 'third');
    for (const page of [ada, bob, cyn]) assert.deepEqual(await page.evaluate(() => window.failed), []);
  });
});

test('a file for everyone arrives whole at both workers', TEST_LIMIT, (t) =>
  inRoom(t, { names: ['Ada', 'Bob', 'Grace'], args: SPREAD }, async ({ leat: own, peers }) => {
    const [ada, bob, grace] = peers;
    const ports = (await Promise.all(peers.map((peer) => peer.pairs()))).flat().map(({ port }) => port);
    assert.deepEqual([...new Set(ports)].sort(), own.rtcPorts);
    for (const peer of peers) await openPanel(peer);
    await until('Ada knows both', () => ada.page.evaluate(() => window.__leat.store.getState().peers.size === 2));
    await ada.page.locator('.files select').selectOption({ label: 'everyone' });
    const { path, hash } = files.made('for-all.bin', 5_000_000);
    await choose(ada, path);
    for (const peer of [bob, grace]) {
      await hasState(peer, 'for-all.bin', 'offered');
      await peer.press('Accept for-all.bin');
    }
    for (const peer of [bob, grace, ada]) await hasState(peer, 'for-all.bin', 'done');
    for (const peer of [bob, grace]) assert.deepEqual(await files.saved(peer, 'for-all.bin'), { name: 'for-all.bin', hash });
  }),
);
