// A bare RTCPeerConnection with the block of code of docs/sdp.md: it publishes, plays, and follows its room.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Bare, BLOCK, Pages } from './lib/bare.js';
import { Leat } from './lib/leat.js';
import { launch, Peer, withoutDevices } from './lib/peers.js';
import { machineLoad, sleep, TEST_LIMIT, until } from './lib/wait.js';

let leat;
let browser;
let pages;
let rooms = 0;

before(async () => {
  pages = await Pages.start();
  leat = await Leat.start(['--allow-origin', pages.origin]);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await pages?.stop();
  await leat?.stop();
});

/** Runs the body in a room of its own, with `open(name, options)` for its pages and `app(name)` for the web app. */
async function inRoom(body) {
  rooms += 1;
  const room = `room-${rooms}`;
  const all = [];
  const open = async (name, options = {}) => {
    const bare = await Bare.open(browser, pages, leat.url, { room, name, ...options });
    all.push(bare);
    return bare;
  };
  const app = async (name, options = {}) => {
    const peer = await Peer.open(browser, leat.url, { room, name, ...options });
    all.push(peer);
    return peer;
  };
  try {
    await body({ open, app });
    for (const { name, errors } of all) assert.deepEqual(errors, [], `uncaught in the page of ${name}`);
  } catch (error) {
    const logs = all.map(({ name, log = '', errors }) => `--- ${name}\n${log}\n${errors.join('\n')}`);
    error.message += `\n${logs.join('\n')}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await Promise.all(all.map((one) => one.close()));
  }
}

/** Waits until exactly these tracks play at a page, each with more frames or packets than before. */
async function plays(bare, expected, { frames = 15, packets = 50 } = {}) {
  const keyOf = ({ from, kind }) => `${from} ${kind}`;
  const wanted = expected.map(keyOf).sort().join();
  let rows = [];
  const now = async () => {
    rows = await bare.received();
    return rows.map(keyOf).sort().join() === wanted;
  };
  const fail = (what) => () => assert.fail(`${bare.name}: ${what}; expected ${wanted}, has ${JSON.stringify(rows)}`);
  await until('', now).catch(fail('other tracks'));
  const start = new Map(rows.map((row) => [row.mid, row]));
  await until('', async () => {
    if (!(await now())) return false;
    return rows.every((row) => {
      const was = start.get(row.mid) ?? { frames: 0, packets: 0, energy: 0 };
      return row.kind === 'video' ? row.frames - was.frames >= frames : row.packets - was.packets >= packets && row.energy > was.energy;
    });
  }).catch(fail('no media'));
  return rows;
}

const both = (bare) => ['audio', 'video'].map((kind) => ({ from: bare.id, kind }));

test('the block has at most fourteen lines', () => {
  assert.ok(BLOCK.trim().split('\n').length <= 14);
});

test('two pages with the block see and hear each other', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    await plays(bob, both(ada));
  });
});

for (const codec of ['VP8', 'H264', 'VP9', 'AV1']) {
  test(`${codec} of a page plays in another one and in the web app, and the other way round`, TEST_LIMIT, async () => {
    await inRoom(async ({ open, app }) => {
      const [ada, bob] = [await open('Ada', { publishes: false }), await open('Bob', { publishes: false })];
      await ada.publish('video', { codec });
      await bob.publish('video', { codec });
      const grace = await app('Grace');
      await grace.connected();
      const graceId = await until('Ada knows Grace', async () => (await ada.received()).map(({ from }) => from).find((from) => from && from !== bob.id));
      for (const [one, other] of [[ada, bob], [bob, ada]]) {
        const rows = await plays(one, [{ from: other.id, kind: 'video' }, { from: graceId, kind: 'audio' }, { from: graceId, kind: 'video' }]);
        assert.equal(rows.find(({ from }) => from === other.id).codec, `video/${codec}`);
      }
      await until('Grace sees both', async () => {
        const rows = await grace.received();
        return rows.length === 2 && rows.every((row) => row.frames >= 15 && row.codec === `video/${codec}`);
      }).catch(async (error) => { error.message += JSON.stringify(await grace.received()); throw error; });
    });
  });
}

/** Orders of encodings: as W3C names no sizes, the smallest first; and with names, the largest first. */
const SIMULCAST_CAPTURE = { width: 960, height: 540, frameRate: 15 };
const SIMULCAST = {
  'W3C order': [
    { rid: 'a', scaleResolutionDownBy: 4 },
    { rid: 'b', scaleResolutionDownBy: 2 },
    { rid: 'c', scaleResolutionDownBy: 1 },
  ],
  'h, m, l': [
    { rid: 'h', scaleResolutionDownBy: 1 },
    { rid: 'm', scaleResolutionDownBy: 2 },
    { rid: 'l', scaleResolutionDownBy: 4 },
  ],
};
for (const [name, encodings] of Object.entries(SIMULCAST)) {
  test(`simulcast, ${name}: a receiver gets each size`, TEST_LIMIT, async () => {
    await inRoom(async ({ open, app }) => {
      const ada = await open('Ada', { publishes: false, video: SIMULCAST_CAPTURE });
      await ada.publish('video', { codec: 'VP8', encodings });
      const grace = await app('Grace', { before: [[withoutDevices]] });
      await grace.connected();
      const bob = await open('Bob', { publishes: false });
      await bob.play();
      for (const [spatialLayer, height] of [[2, 540], [0, 135], [1, 270], [2, 540]]) {
        await until('Grace has the track', async () => (await grace.stream('Ada', 'video')) !== undefined).catch(() => undefined);
        await grace.pin('Ada', { spatialLayer });
        await until(`Grace gets height ${height}`, async () => (await grace.received())[0]?.height === height).catch(async (e) => { e.message += JSON.stringify(await grace.received()); throw e; });
      }
      const start = (await grace.received())[0].frames;
      await until('frames', async () => (await grace.received())[0].frames - start > 15);
      const [row] = await plays(bob, [{ from: ada.id, kind: 'video' }]);
      assert.equal(row.height, 540);
    });
  });
}

/** A picture that costs little to encode. */
const SMALL = { codec: 'VP8', encodings: [{ scaleResolutionDownBy: 4, maxFramerate: 5 }] };

/** Random numbers from a seed. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('a hundred changes of others: exactly the present tracks play', TEST_LIMIT, async () => {
  const seed = Number(process.env.SEED ?? 1);
  const below = random(seed);
  await inRoom(async ({ open }) => {
    const [ada, bob, carol] = [await open('Ada'), await open('Bob', { publishes: false }), await open('Carol', { publishes: false })];
    const live = [];
    const sections = [];
    let changes = 0;
    const change = async () => {
      const owner = below(2) === 0 ? bob : carol;
      const own = live.filter((track) => track.owner === owner);
      if (own.length < 4 && (own.length === 0 || below(2) === 0)) {
        const kind = below(2) === 0 ? 'audio' : 'video';
        const track = { owner, kind };
        live.push(track);
        track.index = await owner.publish(kind, kind === 'video' ? SMALL : {});
      } else {
        const track = own[below(own.length)];
        live.splice(live.indexOf(track), 1);
        await owner.unpublish([track.index], { stop: below(2) === 0 });
      }
    };
    while (changes < 100) {
      const together = Math.min(1 + below(4), 100 - changes);
      changes += together;
      for (let number = 0; number < together; number += 1) await change();
      await sleep(below(400));
      sections.push(await ada.sections());
      if (changes % 20 < together) console.log(changes, sections.at(-1), live.length);
    }
    const expected = (owner) => live.filter((track) => track.owner === owner).map(({ kind }) => ({ from: owner.id, kind }));
    await plays(ada, [...expected(bob), ...expected(carol)], { frames: 10 });
    await plays(bob, [...both(ada), ...expected(carol)], { frames: 10 });
    console.log('sections', sections.join(' '), [ada, bob, carol].map((one) => [one.count('server', 'offer'), one.count('page', 'answer'), one.count('page', 'offer'), one.count('server', 'error')].join('/')).join(' '));
    // Ada's own, eight of others at most, and those that were in use while others came.
    assert.ok(Math.max(...sections) <= 24, `sections: ${sections}`);
    await plays(bob, [...both(ada), ...expected(carol)], { frames: 10 });
    await plays(carol, [...both(ada), ...expected(bob)], { frames: 10 });
    assert.equal(ada.count('server', 'error') + bob.count('server', 'error') + carol.count('server', 'error'), 0, 'errors');
  });
});

test('glare', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    for (let round = 0; round < 40; round += 1) {
      const [one, other] = await Promise.all([ada.publish('audio'), sleep(round * 2).then(() => bob.publish('audio'))]);
      await sleep(100);
      await Promise.all([ada.unpublish([one]), sleep(80 - 2 * round).then(() => bob.unpublish([other], { stop: round % 2 === 0 }))]);
      await sleep(50);
    }
    await plays(ada, both(bob));
    await plays(bob, both(ada));
    console.log('offers from server', ada.count('server', 'offer'), 'answered', ada.count('page', 'answer'), 'sections', await ada.sections());
    console.log('offers from server', bob.count('server', 'offer'), 'answered', bob.count('page', 'answer'), 'errors', ada.count('server', 'error'), bob.count('server', 'error'));
    assert.equal(ada.count('server', 'error') + bob.count('server', 'error'), 0, 'errors');
  });
});

test('ICE restart', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    await plays(bob, both(ada));
    for (let round = 0; round < 3; round += 1) {
      const start = await ada.transport();
      await ada.page.evaluate(() => pc.restartIce());
      await until('other credentials on both sides', async () => {
        const now = await ada.transport();
        return now.ufrag !== start.ufrag && now.remoteUfrag !== start.remoteUfrag;
      });
      await until('another pair', async () => (await ada.transport()).pair !== start.pair);
      await plays(ada, both(bob));
      await plays(bob, both(ada));
      const end = await ada.transport();
      console.log(JSON.stringify([start, end]));
      assert.equal(end.certificate, start.certificate, 'no other DTLS association');
    }
  });
});
