// Data channels over the SDP flow: the block of docs/sdp.md, the class `PeerConnection`, and a `Call` beside them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Bare, Pages } from './lib/bare.js';
import { Leat } from './lib/leat.js';
import { launch } from './lib/peers.js';
import { CHANNEL_PAGES, openPeer, reachEachOther, reaches } from './lib/sdp_channels.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

let leat;
let browser;
let pages;
let rooms = 0;

before(async () => {
  pages = await Pages.start(CHANNEL_PAGES);
  leat = await Leat.start(['--allow-origin', pages.origin]);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await pages?.stop();
  await leat?.stop();
});

/** Runs the body with `open(kind, name)` for pages of a room. */
async function inRoom(t, body) {
  rooms += 1;
  const all = [];
  const open = async (kind, name) => {
    const page = await openPeer(browser, pages, leat.url, kind, { room: `channels-${rooms}`, name });
    all.push(page);
    return page;
  };
  try {
    await body(open);
    for (const page of all) {
      assert.deepEqual(page.errors, []);
      assert.deepEqual(await page.evaluate(() => window.failed), []);
    }
  } catch (error) {
    for (const page of all) t.diagnostic(JSON.stringify(await page.evaluate(() => [window.heard?.(), window.failed])));
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await Promise.all(all.map((page) => page.context().close()));
  }
}

test('two peer connections and a call send each other messages', TEST_LIMIT, async (t) => {
  await inRoom(t, async (open) => {
    const [ada, bob, cyn] = [await open('peer', 'Ada'), await open('peer', 'Bob'), await open('call', 'Cyn')];
    for (const page of [ada, bob, cyn]) await page.evaluate(() => window.join());
    await reachEachOther({ Ada: ada, Bob: bob, Cyn: cyn }, 'first');
    // The channels of who comes later, and of who leaves.
    const dan = await open('peer', 'Dan');
    await dan.evaluate(() => window.join());
    await reachEachOther({ Ada: ada, Cyn: cyn, Dan: dan }, 'second');
    await dan.evaluate(() => window.peer.close());
    await until('the channel of Dan is closed', () => ada.evaluate(() => window.ended.includes('in chat')));
    await reachEachOther({ Ada: ada, Bob: bob }, 'third');
  });
});

test('the options of a channel are those of its receivers', TEST_LIMIT, async (t) => {
  await inRoom(t, async (open) => {
    const [ada, bob] = [await open('peer', 'Ada'), await open('peer', 'Bob')];
    for (const page of [ada, bob]) await page.evaluate(() => window.join());
    const options = [
      { ordered: false, maxRetransmits: 3, protocol: 'json', priority: 'high' },
      { ordered: true, maxPacketLifeTime: 500 },
    ];
    await ada.evaluate((options) => options.map((one, index) => window.openChannel(`with-${index}`, one).label), options);
    const received = () =>
      bob.evaluate(() =>
        (window.incoming ?? [])
          .filter(({ label }) => label.startsWith('with-'))
          .map(({ label, protocol, ordered, maxRetransmits, maxPacketLifeTime }) => [
            label,
            protocol,
            ordered,
            maxRetransmits,
            maxPacketLifeTime,
          ])
          .sort(),
      );
    await until('Bob has both channels', async () => (await received()).length === 2);
    assert.deepEqual(await received(), [
      ['with-0', 'json', false, 3, null],
      ['with-1', '', true, null, 500],
    ]);
    // A name that is too long, and the seventeenth channel.
    await ada.evaluate(() => window.openChannel('x'.repeat(65), {}));
    await until('the channel is closed', () => ada.evaluate(() => window.ended.some((label) => label.length === 65)));
    await ada.evaluate(() => Array.from({ length: 14 }, (_, index) => window.openChannel(`more-${index}`)));
    const ended = () => ada.evaluate(() => window.ended.filter((label) => label.startsWith('more-')).length);
    await until('one too many is closed', async () => (await ended()) > 0);
    // The others were opened before it, or together with it.
    await until('all others are open at Bob', () =>
      bob.evaluate(() => window.incoming.filter(({ label }) => label.startsWith('more-')).length === 13),
    );
    assert.equal(await ended(), 1);
  });
});

test('a message of 256 KiB arrives whole, and a longer one is refused by the browser', TEST_LIMIT, async (t) => {
  await inRoom(t, async (open) => {
    const [ada, bob] = [await open('peer', 'Ada'), await open('peer', 'Bob')];
    for (const page of [ada, bob]) await page.evaluate(() => window.join());
    await reaches(ada, bob, 'Ada', 'hello');
    const refusal = await ada.evaluate(() => {
      window.say('y'.repeat(262_144));
      try {
        window.say('z'.repeat(262_145));
      } catch (error) {
        return error.name;
      }
      return null;
    });
    assert.equal(refusal, 'TypeError');
    const lengths = () => bob.evaluate(() => window.heard().map(({ data }) => data.length));
    await until('the long message arrives', async () => (await lengths()).includes(262_144));
    await reaches(ada, bob, 'Ada', 'after it');
  });
});

test('channels that are added to media continue through an ICE restart and a closed signal channel', TEST_LIMIT, async (t) => {
  await inRoom(t, async (open) => {
    const [ada, bob] = [await open('peer', 'Ada'), await open('peer', 'Bob')];
    await bob.evaluate(() => window.join());
    await ada.evaluate(async () => {
      window.peer.connection.addTransceiver('audio', { direction: 'recvonly' });
      await window.negotiate();
      await window.join();
    });
    await reachEachOther({ Ada: ada, Bob: bob }, 'first');
    await ada.evaluate(async () => {
      window.peer.connection.restartIce();
      await window.negotiate();
    });
    await reachEachOther({ Ada: ada, Bob: bob }, 'restarted');
    assert.deepEqual(await ada.evaluate(() => [window.ended, window.opened]), [[], ['chat']]);
    assert.equal(await ada.evaluate(() => window.transports()), 1, 'one transport');
  });
});

test('two pages with the blocks of the documentation chat beside their media', TEST_LIMIT, async () => {
  const room = 'block';
  const open = (name) => Bare.open(browser, pages, leat.url, { room, name, chats: true });
  const [ada, bob] = [await open('Ada'), await open('Bob')];
  try {
    for (const [from, to] of [
      [ada, bob],
      [bob, ada],
    ]) {
      await until(`${to.name} hears ${from.name}`, async () => {
        await from.page.evaluate((text) => window.say?.(text), `I am ${from.name}`);
        return to.page.evaluate(
          (text) => window.heard.some(([label, data]) => label === 'chat' && data === text),
          `I am ${from.name}`,
        );
      });
      await until(`${to.name} sees ${from.name}`, async () =>
        (await to.received()).some(({ kind, frames }) => kind === 'video' && frames > 10),
      );
      assert.deepEqual(to.errors, []);
      assert.equal(to.count('server', 'error'), 0);
    }
  } finally {
    await Promise.all([ada, bob].map((one) => one.close()));
  }
});
