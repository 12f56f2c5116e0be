// A participant whose network is away: signaling, media, or both, for a second, for ten, and in `make soak` for a minute,
// after which the participant joins again. Tracks, subscriptions, keys and a file that is on its way are restored, and the
// app shows what happens.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessNetwork } from './lib/access_network.js';
import { encrypted, encryptionWith, framesOf, haveKeys } from './lib/encryption.js';
import { gapsOf, watchGaps } from './lib/gaps.js';
import { seeAndHear } from './lib/meeting.js';
import { Peer } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { rounds } from './lib/rounds.js';
import { expiresIn, mintToken } from './lib/token.js';
import { PATIENCE_MS, sleep, TEST_LIMIT, until } from './lib/wait.js';

/** A file takes seconds over it, so that it is on its way when the network goes away. */
const LINK = { bitsPerSecond: 8_000_000, queueMs: 200 };
/** For the users of `make soak`: a guest who joins again after a minute is another user, with other keys. */
const SECRET = 'the secret of this test, which is long enough';
const ROOM = 'millpond';
const FILE_BYTES = 6_000_000;
const SECONDS = rounds({ few: [1, 10], many: [60] });
const MATRIX = [['signaling'], ['media'], ['signaling', 'media']].flatMap((parts) =>
  SECONDS.map((seconds) => ({ parts, seconds })),
);
/** Restoring takes several attempts on a busy machine. */
const RESTORED = { timeoutMs: 3 * PATIENCE_MS };

/** Runs in the page: offers a file with random content to the other participant. Returns its id and its SHA-256. */
async function offerFile(size) {
  const { call, store } = window.__leat;
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  const [to] = store.getState().peers.keys();
  const id = call.files.send(new File([bytes], 'harvest.bin'), to);
  return { id, hash: [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].join() };
}

/** Runs in the page: the SHA-256 of a received file. */
async function hashOf(id) {
  const file = await window.__leat.call.files.result(id).arrayBuffer();
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', file))].join();
}

const transferOf = (peer, id) => peer.page.evaluate((id) => window.__leat.store.getState().fileTransfers.get(id), id);
const peerIdOf = (peer) => peer.page.evaluate(() => window.__leat.store.getState().call.peerId);
const isRecovering = (peer) => peer.page.evaluate(() => window.__leat.store.getState().call.recovery !== null);

/** Grace sends Ada a file. It has begun to arrive when this returns. */
async function beginFile(grace, ada) {
  const file = await grace.page.evaluate(offerFile, FILE_BYTES);
  await until('the file is offered', async () => (await transferOf(ada, file.id))?.state === 'offered', RESTORED);
  await ada.page.evaluate((id) => window.__leat.call.files.accept(id), file.id);
  await until('the file arrives', async () => (await transferOf(ada, file.id)).bytes > 0, RESTORED);
  assert.equal((await transferOf(ada, file.id)).state, 'active');
  return file;
}

async function restored([ada, grace]) {
  await until('Ada is connected', async () => (await ada.session()) === 'Connected' && (await ada.online()), RESTORED);
  await until('no recovery runs', async () => !(await isRecovering(ada)), RESTORED);
  await ada.receives(['Grace'], RESTORED.timeoutMs);
  await grace.receives(['Ada'], RESTORED.timeoutMs);
  await seeAndHear([ada, grace], { frames: 15, lostMax: Number.POSITIVE_INFINITY });
  await haveKeys(ada, grace);
}

/** With the keys of the call: frames are decrypted in both directions. */
async function decryptFrames(peers) {
  for (const [peer, other] of [peers, [...peers].reverse()]) {
    const before = (await framesOf(peer, other.name)).opened;
    await until(`${peer.name} decrypts`, async () => (await framesOf(peer, other.name)).opened > before + 30, RESTORED);
  }
}

/** The states that must be shown: a person sees that the network is away before any consequence. */
function isShown(states, { parts, seconds }) {
  if (parts.includes('signaling'))
    assert.ok(
      states.some((state) => state.includes('offline')),
      `${states}`,
    );
  // ICE bears a second without an answer.
  if (parts.includes('media') && seconds > 1)
    assert.ok(
      states.some((state) => state.startsWith('Reconnecting')),
      `${states}`,
    );
  assert.equal(states.at(-1), 'Connected online', `${states}`);
}

async function cutAndMend(t, network, [ada, grace], outage) {
  const { parts, seconds } = outage;
  const file = await beginFile(grace, ada);
  const before = { id: await peerIdOf(ada), number: (await encryptionWith(ada, 'Grace')).safetyNumber };
  await watchGaps(ada);
  network.cut(parts);
  await sleep(1_000 * seconds);
  network.mend(parts);
  await restored([ada, grace]);
  await decryptFrames([ada, grace]);
  const { states, longestMs } = await gapsOf(ada);
  t.diagnostic(`${parts.join(' and ')} away for ${seconds} s: ${longestMs} ms without audio; ${states.join(' → ')}`);
  isShown(states, outage);
  const isSame = (await peerIdOf(ada)) === before.id;
  // The server keeps the place of a participant for less than a minute.
  assert.equal(isSame, !(parts.includes('signaling') && seconds >= 60), 'the same place in the room');
  assert.equal((await encryptionWith(ada, 'Grace')).safetyNumber, before.number, 'the keys of the participants');
  for (const peer of [ada, grace]) {
    await until(`the file is done at ${peer.name}`, async () => (await transferOf(peer, file.id)).state === 'done', RESTORED);
  }
  assert.equal(await ada.page.evaluate(hashOf, file.id), file.hash);
  assert.ok(await ada.isMarked(), 'Ada did not reload');
}

const asUser = (sub) => ({
  ...encrypted,
  needsClick: true,
  token: mintToken(SECRET, { sub, room: ROOM, exp: expiresIn(3_600) }),
});

/** For `Peer.open`. */
const joining = rounds({ few: () => encrypted, many: asUser });

/** Ada's network can be cut. There is no relay, except on request. */
async function withNetwork(t, { relay }, body) {
  const key = rounds({ few: [], many: ['--secret', SECRET] });
  const args = [...key, ...(relay ? [] : ['--turn-port', '0'])];
  await inRoom(t, { names: [], args }, async ({ leat, browser, enter, step, peers }) => {
    const network = await AccessNetwork.open(leat, LINK);
    try {
      const ada = await Peer.open(browser, network.url, {
        room: ROOM,
        name: 'Ada',
        before: [network.script(relay)],
        ...joining('ada'),
      });
      peers.push(ada);
      const grace = await enter('Grace', joining('grace'));
      await haveKeys(ada, grace);
      await ada.receives(['Grace']);
      await grace.receives(['Ada']);
      await ada.mark();
      await body({ network, ada, grace, step });
    } finally {
      await network.close();
    }
  });
}

test('a participant is back after an outage of its network', { timeout: 2 * TEST_LIMIT.timeout }, (t) =>
  withNetwork(t, { relay: false }, async ({ network, ada, grace, step }) => {
    for (const outage of MATRIX) {
      await step(`${outage.parts.join(' and ')}, ${outage.seconds} s`, () => cutAndMend(t, network, [ada, grace], outage));
    }
  }),
);

test('where UDP is gone for good, the call goes over to a relay', TEST_LIMIT, (t) =>
  withNetwork(t, { relay: true }, async ({ network, ada, grace }) => {
    const file = await beginFile(grace, ada);
    await watchGaps(ada);
    network.cut(['media']);
    await until('the relay carries', async () => (await ada.pairs()).every(({ type }) => type === 'relay'), RESTORED);
    await restored([ada, grace]);
    await decryptFrames([ada, grace]);
    const { states, longestMs } = await gapsOf(ada);
    t.diagnostic(`over to a relay: ${longestMs} ms without audio; ${states.join(' → ')}`);
    for (const step of ['iceRestart', 'relay'])
      assert.ok(
        states.some((state) => state.endsWith(step)),
        `${states}`,
      );
    assert.deepEqual(
      (await ada.pairs()).map(({ type }) => type),
      ['relay', 'relay'],
    );
    await until('the file is done', async () => (await transferOf(ada, file.id)).state === 'done', RESTORED);
    assert.equal(await ada.page.evaluate(hashOf, file.id), file.hash);
  }),
);
