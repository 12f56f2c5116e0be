// Data channels of Chromium through the engine.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Pages } from './lib/bare.js';
import { CHANNELS, openChannels } from './lib/channels.js';
import { Leat } from './lib/leat.js';
import { launch } from './lib/peers.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

/** The longest message that the engine accepts. */
const LONGEST = 256 * 1024;
/** The six types of RFC 8832 §5.1. */
const TYPES = [
  {},
  { maxRetransmits: 5 },
  { maxPacketLifeTime: 5_000 },
  { ordered: false },
  { ordered: false, maxRetransmits: 5 },
  { ordered: false, maxPacketLifeTime: 5_000 },
];

let leat;
let browser;
let pages;
let rooms = 0;

before(async () => {
  pages = await Pages.start({ channels: CHANNELS });
  leat = await Leat.start(['--allow-origin', pages.origin]);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await pages?.stop();
  await leat?.stop();
});

/** Runs the body with two pages in a room of their own. */
async function between(t, body) {
  rooms += 1;
  const open = (name) => openChannels(browser, pages, leat.url, `data-${rooms}`, name);
  const [ada, bob] = [await open('Ada'), await open('Bob')];
  try {
    await body(ada, bob, open);
    assert.deepEqual([...ada.errors, ...bob.errors], []);
  } catch (error) {
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await ada.context().close();
    await bob.context().close();
  }
}

const digests = (page, label) => page.evaluate((label) => window.digests(label), label);
const knows = (page, label) =>
  until(`${label} is announced`, () => page.evaluate((label) => window.known().includes(label), label));

for (const [index, type] of TYPES.entries()) {
  test(`messages of a channel with ${JSON.stringify(type)} arrive`, TEST_LIMIT, (t) =>
    between(t, async (ada, bob) => {
      await ada.evaluate(([stream, type]) => window.send(stream, type), [index, type]);
      const label = `to-${index}`;
      await knows(bob, label);
      await bob.evaluate((label) => window.receive(label), label);
      const sizes = [10, 1, 1_000, 70_000, 20, LONGEST, 0, 5];
      const sent = await ada.evaluate(([stream, sizes]) => window.sendAll(stream, sizes), [index, sizes]);
      await until('all messages', async () => (await digests(bob, label)).length === sent.length);
      const arrived = await digests(bob, label);
      const sorted = (all) => (type.ordered === false ? all.map((one) => JSON.stringify(one)).sort() : all);
      assert.deepEqual(sorted(arrived), sorted(sent));
    }),
  );
}

test('a channel that closes is closed at the receiver, and its stream can be used again', TEST_LIMIT, (t) =>
  between(t, async (ada, bob) => {
    for (const round of [1, 2, 3]) {
      const id = await ada.evaluate(() => window.send(7));
      await knows(bob, 'to-7');
      await bob.evaluate(() => window.receive('to-7'));
      const sent = await ada.evaluate((round) => window.sendAll(7, [round, round * 1_000]), round);
      await until('both messages', async () => (await digests(bob, 'to-7')).length === 2);
      assert.deepEqual(await digests(bob, 'to-7'), sent);
      await ada.evaluate((dataProducerId) => window.ask('closeDataProducer', { dataProducerId }, 'ack'), id);
      await until('the receiver is closed', () => bob.evaluate(() => window['in-to-7'].hasClosed));
      await until('the sender is closed', () => ada.evaluate(() => window.out7.hasClosed));
      await bob.evaluate(() => window.forget());
    }
  }),
);

test('a message that is too long is refused in the browser, and the channel continues', TEST_LIMIT, (t) =>
  between(t, async (ada, bob) => {
    await ada.evaluate(() => window.send(0));
    await knows(bob, 'to-0');
    await bob.evaluate(() => window.receive('to-0'));
    // The browser refuses what is longer than `a=max-message-size`.
    const refused = await ada.evaluate((size) => {
      try {
        window.out0.send(new Uint8Array(size));
        return '';
      } catch (error) {
        return error.name;
      }
    }, LONGEST + 1);
    assert.equal(refused, 'TypeError');
    const sent = await ada.evaluate(() => window.sendAll(0, [3, 4]));
    await until('the messages after it', async () => (await digests(bob, 'to-0')).length === sent.length);
  }),
);
