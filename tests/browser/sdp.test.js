// A bare RTCPeerConnection with the block of code of docs/sdp.md: it publishes, plays, and follows its room.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Bare, BLOCK, Pages } from './lib/bare.js';
import { SignalClient } from './lib/client.js';
import { IS_IPV6 } from './lib/family.js';
import { Leat } from './lib/leat.js';
import { CAPTURE_720, launch, Peer, withoutDevices } from './lib/peers.js';
import { rounds } from './lib/rounds.js';
import { machineLoad, PATIENCE_MS, sleep, TEST_LIMIT, until } from './lib/wait.js';

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

/** A request that waits for its answer when the channel is lost is rejected; the block leaves that to its page. */
const LOST = /^The connection to the server was lost/;

/**
 * Runs the body in a room of its own, with `open(name, options)` for its pages and `app(name)` for the web app. An
 * error in a page that `uncaught` does not match is a failure.
 */
async function inRoom(body, { uncaught } = {}) {
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
    await body({ open, app, room });
    for (const { name, errors } of all) {
      const unexpected = errors.filter((error) => !uncaught?.test(error));
      assert.deepEqual(unexpected, [], `uncaught in the page of ${name}`);
    }
  } catch (error) {
    const logs = all.map(({ name, log = '', errors }) => `--- ${name}\n${log}\n${errors.join('\n')}`);
    const log = `${logs.join('\n')}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    // Another error: the message of an assertion is not printed again when it changes.
    throw new Error(`${error.message}\n${log}`, { cause: error });
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
      return row.kind === 'video'
        ? row.frames - was.frames >= frames
        : row.packets - was.packets >= packets && row.energy > was.energy;
    });
  }).catch(fail('no media'));
  return rows;
}

/** Each of the two plays what the other one publishes from the start. */
const playEachOther = (one, other) => Promise.all([plays(one, both(other)), plays(other, both(one))]);

const video = (bare) => ({ from: bare.id, kind: 'video' });
const both = (bare) => [{ from: bare.id, kind: 'audio' }, video(bare)];

/** No description was refused. */
function noErrors(...all) {
  for (const bare of all) assert.equal(bare.count('server', 'error'), 0, `${bare.name}: a request was refused`);
}

test('the block has at most fourteen lines', () => {
  assert.ok(BLOCK.trim().split('\n').length <= 14);
});

test('two pages with the block see and hear each other', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await playEachOther(ada, bob);
    noErrors(ada, bob);
  });
});

for (const codec of ['VP8', 'H264', 'VP9', 'AV1']) {
  test(`${codec} of a page plays in another one and in the web app, and the other way round`, TEST_LIMIT, async () => {
    await inRoom(async ({ open, app }) => {
      const [ada, bob] = [await open('Ada', { publishes: false }), await open('Bob', { publishes: false })];
      for (const bare of [ada, bob]) await bare.publish('video', { codec });
      const grace = await app('Grace');
      await until('Grace decodes both', async () => {
        const rows = await grace.received();
        const isWhole = ({ frames, codec: received }) => frames >= 15 && received === `video/${codec}`;
        return (
          rows
            .map(({ from }) => from)
            .sort()
            .join() === 'Ada,Bob' && rows.every(isWhole)
        );
      });
      const graceId = await ada.idOf('Grace');
      const graces = ['audio', 'video'].map((kind) => ({ from: graceId, kind }));
      // Longer than it takes until all layers arrive.
      const options = { frames: 60 };
      const rows = await Promise.all([
        plays(ada, [video(bob), ...graces], options),
        plays(bob, [video(ada), ...graces], options),
      ]);
      for (const row of rows.flat().filter(({ kind }) => kind === 'video')) assert.equal(row.codec, `video/${codec}`);
      noErrors(ada, bob);
    });
  });
}

/** Of a height at which a browser sends three sizes. */
const SIMULCAST_CAPTURE = { width: 960, height: 540, frameRate: 15 };
const SIMULCAST = {
  // RIDs without a meaning: the last one is the largest.
  'in the order of W3C': [
    { rid: 'a', scaleResolutionDownBy: 4 },
    { rid: 'b', scaleResolutionDownBy: 2 },
    { rid: 'c', scaleResolutionDownBy: 1 },
  ],
  'with names, the largest first': [
    { rid: 'h', scaleResolutionDownBy: 1 },
    { rid: 'm', scaleResolutionDownBy: 2 },
    { rid: 'l', scaleResolutionDownBy: 4 },
  ],
};

/** Large sizes wait for the estimate of the bandwidth, for which a busy machine is a congested network. */
const SIZE_MS = 3 * PATIENCE_MS;

/** A page gets a picture of this height. */
async function getsSize(bare, height) {
  let rows;
  const isThere = async () => {
    rows = await bare.received();
    return rows.some((row) => row.height === height);
  };
  await until('', isThere, { timeoutMs: SIZE_MS }).catch(() =>
    assert.fail(`${bare.name}: no ${height} lines: ${JSON.stringify(rows)}`),
  );
}

/** A viewer in the web app requests the sizes of that peer's camera, `top` and its fractions, and gets each. */
async function getsEachSize(viewer, name, top) {
  await until(`${viewer.name} gets the track`, () => viewer.stream(name, 'video'));
  let row;
  const is = async (height) => {
    row = await viewer.stream(name, 'video');
    return row.height === height;
  };
  for (const [spatialLayer, height] of [
    [2, top],
    [0, top / 4],
    [1, top / 2],
    [2, top],
  ]) {
    await viewer.pin(name, { spatialLayer });
    const fail = () => assert.fail(`layer ${spatialLayer} should have height ${height}: ${JSON.stringify(row)}`);
    await until('', () => is(height), { timeoutMs: SIZE_MS }).catch(fail);
    const { frames } = row;
    await until('frames of it', async () => (await viewer.stream(name, 'video')).frames - frames >= 10);
  }
}

for (const [name, encodings] of Object.entries(SIMULCAST)) {
  test(`simulcast ${name}: the web app gets the size that it requests, a page the largest`, TEST_LIMIT, async () => {
    await inRoom(async ({ open, app }) => {
      const ada = await open('Ada', { publishes: false, video: SIMULCAST_CAPTURE });
      await ada.publish('video', { codec: 'VP8', encodings });
      const grace = await app('Grace', { before: [[withoutDevices]] });
      await getsEachSize(grace, 'Ada', SIMULCAST_CAPTURE.height);
      const bob = await open('Bob', { publishes: false });
      await bob.play();
      await getsSize(bob, SIMULCAST_CAPTURE.height);
      await plays(bob, [video(ada)]);
      noErrors(ada, bob);
    });
  });
}

for (const { codec, mode, extension } of [
  { codec: 'VP9', mode: 'L3T3_KEY' },
  // Its layers are in the dependency descriptor only, which Chromium does not offer by itself.
  { codec: 'AV1', mode: 'L3T3', extension: 'dependency-descriptor' },
]) {
  test(
    `${codec} ${mode} named in the offer: the web app gets the size that it requests, a page the largest`,
    TEST_LIMIT,
    async () => {
      await inRoom(async ({ open, app }) => {
        const ada = await open('Ada', { publishes: false, video: CAPTURE_720 });
        const encodings = [{ scalabilityMode: mode }];
        await ada.publishAs('video', { scalabilityMode: mode }, { codec, encodings, extension });
        const grace = await app('Grace', { before: [[withoutDevices]] });
        await getsEachSize(grace, 'Ada', CAPTURE_720.height);
        assert.equal((await grace.stream('Ada', 'video')).codec, `video/${codec}`);
        const bob = await open('Bob', { publishes: false });
        await bob.play({ extension });
        await getsSize(bob, CAPTURE_720.height);
        const [row] = await plays(bob, [video(ada)]);
        assert.equal(row.codec, `video/${codec}`);
        noErrors(ada, bob);
      });
    },
  );
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

/** Tracks of a page at the same time. */
const LIVE_MAX = 4;

test('after a hundred changes, exactly the tracks that are left play', TEST_LIMIT, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 100_000);
  t.diagnostic(`SEED=${seed}`);
  const below = random(seed);
  await inRoom(async ({ open }) => {
    const [ada, bob, carol] = [
      await open('Ada'),
      await open('Bob', { publishes: false }),
      await open('Carol', { publishes: false }),
    ];
    // Sections that stay: Chromium closes the connection when the first one is stopped.
    for (const bare of [bob, carol]) await bare.play();
    const live = [];
    const change = async () => {
      const owner = below(2) === 0 ? bob : carol;
      const own = live.filter((track) => track.owner === owner);
      if (own.length < LIVE_MAX && (own.length === 0 || below(2) === 0)) {
        const kind = below(2) === 0 ? 'audio' : 'video';
        live.push({ owner, kind, index: await owner.publish(kind, kind === 'video' ? SMALL : {}) });
      } else {
        const track = own[below(own.length)];
        live.splice(live.indexOf(track), 1);
        await owner.unpublish([track.index], { stop: below(2) === 0 });
      }
    };
    let sections = 0;
    for (let changes = 0; changes < 100; ) {
      const together = Math.min(1 + below(4), 100 - changes);
      for (let number = 0; number < together; number += 1) await change();
      changes += together;
      await sleep(below(400));
      sections = Math.max(sections, await ada.sections());
    }
    const of = (owner) => live.filter((track) => track.owner === owner).map(({ kind }) => ({ from: owner.id, kind }));
    await Promise.all([
      plays(ada, [...of(bob), ...of(carol)], { frames: 5 }),
      plays(bob, [...both(ada), ...of(carol)], { frames: 5 }),
      plays(carol, [...both(ada), ...of(bob)], { frames: 5 }),
    ]);
    // For each kind: one for each track of the others, and as many that become free at that time.
    assert.ok(sections <= 2 * 2 * 2 * LIVE_MAX, `${sections} sections`);
    noErrors(ada, bob, carol);
  });
});

/** A client without media whose tracks come and go at once. */
class Sender {
  #client;
  #transport;
  #number = 0;
  live = [];
  name;

  static async join(room, name) {
    const sender = new Sender();
    sender.name = name;
    sender.#client = await SignalClient.join(leat.url, room, name);
    const family = IS_IPV6 ? 'ipv6' : 'ipv4';
    const made = await sender.#client.request(
      'createPlainTransport',
      { direction: 'send', family, comedia: true },
      'plainTransportCreated',
    );
    await sender.#client.request('connectPlainTransport', { transportId: made.id });
    sender.#transport = made.id;
    return sender;
  }

  async open() {
    this.#number += 1;
    const codec = { mimeType: 'audio/opus', clockRate: 48_000, channels: 2, payloadType: 100 };
    const rtpParameters = { codecs: [codec], encodings: [{ ssrc: this.#number }] };
    const track = { transportId: this.#transport, kind: 'audio', source: `track-${this.#number}`, rtpParameters };
    this.live.push((await this.#client.request('produceMedia', track, 'producerCreated')).id);
  }

  closeOldest() {
    return this.#client.request('closeProducer', { producerId: this.live.shift() });
  }

  leave() {
    this.#client.close();
  }
}

/** Of four senders: 100 changes, or 1,200. */
const CHURN_ROUNDS = rounds({ few: 1, many: 5 });
const CHURN_CHANGES = rounds({ few: 25, many: 60 });

test('tracks that come and go faster than descriptions: exactly those that are left are described', TEST_LIMIT, async () => {
  await inRoom(async ({ open, room }) => {
    const ada = await open('Ada');
    const senders = await Promise.all(['Bob', 'Carol', 'Dan', 'Eve'].map((name) => Sender.join(room, name)));
    try {
      for (let round = 0; round < CHURN_ROUNDS; round += 1) {
        // A change of each at a time that does not depend on the descriptions, which are some hundred.
        const churn = async (sender) => {
          for (let change = 0; change < CHURN_CHANGES; change += 1) {
            if (sender.live.length < 3) await sender.open();
            else await sender.closeOldest();
            await sleep(5);
          }
        };
        await Promise.all(senders.map(churn));
        const ids = await Promise.all(senders.map(({ name }) => ada.idOf(name)));
        const expected = senders.flatMap(({ live }, index) => live.map(() => ids[index]));
        const wanted = expected.sort().join();
        let playing = '';
        await until('', async () => {
          playing = (await ada.received())
            .map(({ from }) => from)
            .sort()
            .join();
          return playing === wanted;
        }).catch(() => assert.fail(`round ${round}: expected ${wanted}, has ${playing}`));
      }
      noErrors(ada);
    } finally {
      for (const sender of senders) sender.leave();
    }
  });
});

const GLARE_ROUNDS_MAX = 40;
const GLARE_ROUNDS = rounds({ few: 8, many: GLARE_ROUNDS_MAX });

test('offers of both sides at the same time', TEST_LIMIT, async (t) => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    const voids = () => ada.voidOffers + bob.voidOffers;
    const tracks = [];
    // At least one void offer: a slow machine may need more rounds for it.
    for (let round = 0; round < GLARE_ROUNDS || (round < GLARE_ROUNDS_MAX && voids() === 0); round += 1) {
      // The change of one side meets the offer of the other one at another point of it in each round, of 80 ms.
      const pause = () => sleep((80 / GLARE_ROUNDS) * (round % GLARE_ROUNDS));
      await Promise.all([
        ada.publish('audio').then((index) => tracks.push([ada, index])),
        pause()
          .then(() => bob.publish('audio'))
          .then((index) => tracks.push([bob, index])),
      ]);
      await sleep(50);
      await Promise.all(tracks.splice(0).map(([owner, index]) => owner.unpublish([index], { stop: true })));
    }
    await playEachOther(ada, bob);
    assert.ok(voids() > 0, 'no offers met');
    t.diagnostic(`${voids()} void offers`);
    noErrors(ada, bob);
  });
});

test('media continues through ICE restarts, with the same DTLS association', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    for (let round = 0; round < 3; round += 1) {
      const start = await ada.transport();
      await ada.page.evaluate(() => pc.restartIce());
      await until('new credentials of both sides, and another pair', async () => {
        const now = await ada.transport();
        return now.ufrag !== start.ufrag && now.remoteUfrag !== start.remoteUfrag && now.pair !== start.pair;
      });
      await playEachOther(ada, bob);
      await sameAssociation(ada, start);
    }
    noErrors(ada, bob);
  });
});

/** The connection has not started again. */
async function sameAssociation(bare, start) {
  const now = await bare.transport();
  assert.equal(now.state, 'connected');
  assert.equal(now.certificate, start.certificate, 'another DTLS association');
  assert.equal(now.count, 1, 'one transport');
}

const RESUMES = rounds({ few: 3, many: 10 });

test('a page whose channel was replaced resumes, and follows the room again', TEST_LIMIT, async () => {
  await inRoom(
    async ({ open }) => {
      const [ada, bob] = [await open('Ada', { resumes: true }), await open('Bob')];
      await plays(ada, both(bob));
      const start = await ada.transport();
      for (let round = 0; round < RESUMES; round += 1) {
        // A change while the channel is down, or soon after.
        const [index] = await Promise.all([
          sleep((50 / RESUMES) * round).then(() => bob.publish('audio')),
          ada.resumes(() => ada.page.evaluate(() => void channel.reopen())),
        ]);
        await plays(ada, [...both(bob), { from: bob.id, kind: 'audio' }]);
        await bob.unpublish([index], { stop: true });
        await playEachOther(ada, bob);
      }
      await sameAssociation(ada, start);
      noErrors(ada, bob);
    },
    { uncaught: LOST },
  );
});

test('media continues while signaling is killed and restarted, and the pages follow the room again', TEST_LIMIT, async () => {
  await inRoom(
    async ({ open }) => {
      const [ada, bob] = [await open('Ada', { resumes: true }), await open('Bob', { resumes: true })];
      await plays(ada, both(bob));
      const start = await ada.transport();
      for (let round = 0; round < 2; round += 1) {
        await ada.resumes(() => bob.resumes(() => leat.crash('leat-signaling')));
        await playEachOther(ada, bob);
        const index = await bob.publish('video', SMALL);
        await plays(ada, [...both(bob), video(bob)], { frames: 5 });
        await bob.unpublish([index], { stop: true });
        await plays(ada, both(bob));
      }
      await sameAssociation(ada, start);
      noErrors(ada, bob);
    },
    { uncaught: LOST },
  );
});

test('after the engine was killed, an ICE restart continues the call', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    const start = await ada.transport();
    leat.crash('leat-engine');
    for (const bare of [ada, bob]) {
      await until(`${bare.name} knows that media is ready`, () => bare.count('server', 'mediaReady') > 0);
      await bare.page.evaluate(() => pc.restartIce());
    }
    await playEachOther(ada, bob);
    assert.notEqual((await ada.transport()).certificate, start.certificate, 'the certificate of the former engine');
    noErrors(ada, bob);
  });
});

test('tracks have the names of the offer, or those of their kind', TEST_LIMIT, async () => {
  await inRoom(async ({ open, room }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob', { publishes: false })];
    // First what Bob receives: sections of the server come before those of Bob.
    await bob.play();
    await plays(bob, both(ada));
    await bob.publish('video', SMALL);
    await until('the track of Bob is negotiated', () => bob.page.evaluate(() => published[0].currentDirection === 'sendonly'));
    await bob.publishAs('video', { source: 'whiteboard' });
    const observer = await SignalClient.join(leat.url, room, 'Observer');
    try {
      const names = observer.peers.map(({ displayName, producers }) => [
        displayName,
        producers
          .map(({ source }) => source)
          .sort()
          .join(),
      ]);
      assert.deepEqual(names.sort(), [
        ['Ada', 'camera,microphone'],
        ['Bob', 'camera,whiteboard'],
      ]);
    } finally {
      observer.close();
    }
  });
});

test('descriptions that are not supported are refused, and change nothing', TEST_LIMIT, async () => {
  await inRoom(async ({ open }) => {
    const [ada, bob] = [await open('Ada'), await open('Bob')];
    await plays(ada, both(bob));
    const refusals = await ada.page.evaluate(async () => {
      const { sdp } = pc.localDescription;
      const [, section] = /(^a=ssrc:\d+ )/m.exec(sdp);
      const changed = {
        'ICE-lite': sdp.replace(/^a=group:/m, 'a=ice-lite\r\n$&'),
        'Plan B': sdp.replace(section, `a=ssrc:1 msid:one a\r\na=ssrc:2 msid:two b\r\n${section}`),
        'fewer sections': sdp.slice(0, sdp.lastIndexOf('m=')),
        'no DTLS': sdp.replace(/^a=fingerprint:.*\r\n/gm, ''),
      };
      const outcomes = {};
      for (const [name, sdp] of Object.entries(changed)) {
        const outcome = await channel.ask({ case: 'offer', value: { sdp } }).catch((error) => error);
        outcomes[name] = `${outcome.codeName} ${outcome.message}`;
      }
      return outcomes;
    });
    for (const [name, word] of [
      ['ICE-lite', 'ICE-lite'],
      ['Plan B', 'Plan B'],
      ['fewer sections', 'sections'],
      ['no DTLS', 'fingerprint'],
    ]) {
      assert.match(refusals[name], new RegExp(`^BAD_MESSAGE .*${word}`), name);
    }
    await playEachOther(ada, bob);
  });
});
