// What the engine forwards in an encrypted call, received by clients that are not the SDK: werift for media, and a page
// with a bare connection for data channels. It is SFrame, only the keys of participants open it, and only those of the
// epochs in which a participant was in the call.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Pages } from './lib/bare.js';
import { CHANNELS, openChannels } from './lib/channels.js';
import { encrypted, framesOf, haveKeys, keysOf, recordKeys } from './lib/encryption.js';
import { choose, Files, hasState, openPanel } from './lib/files.js';
import { Leat } from './lib/leat.js';
import { launch, Peer, withoutDevices } from './lib/peers.js';
import { headerOf, opened } from './lib/sframe.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';
import { play } from './lib/werift.js';

const MEDIA = 'video:\n  codecs:\n    - name: VP8\n      priority: 100\n';
const MARKER = 'the miller is asleep';
const FRAMES = 30;
/** What `frames.ts` puts before the ciphertext of VP8: of a keyframe, and of another frame. */
const VP8_HEADS = { key: 10, delta: 1 };
const STREAMS_PER_EPOCH = 256n;
/** As many equal bytes in a row are no coincidence. */
const WINDOW = 8;

let pages;
let leat;
let browser;

before(async () => {
  pages = await Pages.start({ channels: CHANNELS });
  leat = await Leat.start(['--allow-origin', pages.origin], MEDIA);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await pages?.stop();
  await leat?.stop();
});

/** Runs the body with `enter(name, options)`, which opens the app in a room of its own. */
async function inRoom(t, room, body) {
  const peers = [];
  const enter = async (name, options) => {
    const peer = await Peer.open(browser, leat.url, { room, name, ...options });
    peers.push(peer);
    await peer.connected();
    return peer;
  };
  try {
    await body(enter);
    for (const { name, errors } of peers) assert.deepEqual(errors, [], `uncaught in the page of ${name}`);
  } catch (error) {
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
}

const viewer = { ...encrypted, camera: [withoutDevices], before: [[recordKeys]] };

/** The encrypted frame in one of VP8. */
const sealedIn = (frame) => frame.subarray(frame[0] & 1 ? VP8_HEADS.delta : VP8_HEADS.key);
const epochOf = (sealed) => Number(headerOf(sealed).kid / STREAMS_PER_EPOCH);

/** Opens frames with whichever of the keys fits. */
const openAll = (sealed, keys, source) =>
  sealed.map((one) => {
    for (const { key } of keys) {
      const plain = opened(one, key, source);
      if (plain) return plain;
    }
    return null;
  });

const countOf = (plain) => plain.filter((one) => one !== null).length;

/** Header and counters of a stream, in the order in which the frames arrived. */
function isSframe(sealed) {
  const next = new Map();
  for (const one of sealed) {
    const { kid, counter, length } = headerOf(one) ?? assert.fail('no header');
    // The smallest picture of VP8 has nothing behind the part that stays readable.
    assert.ok(one.length >= length + 16, `${one.length} bytes`);
    assert.ok(kid >= STREAMS_PER_EPOCH && kid < 1_000n * STREAMS_PER_EPOCH, `key id ${kid}`);
    assert.ok(counter >= (next.get(kid) ?? 0n), `counter ${counter} of key ${kid} after ${next.get(kid)}`);
    next.set(kid, counter + 1n);
  }
}

/** No part of a plaintext is in the ciphertexts. */
function hidesAll(sealed, plain) {
  const all = Buffer.concat(sealed);
  for (const one of plain) {
    for (let at = 0; at + WINDOW <= one.length; at += Math.max(WINDOW, Math.floor(one.length / 16))) {
      const part = one.subarray(at, at + WINDOW);
      // A run of one byte is in anything.
      if (new Set(part).size < 4) continue;
      assert.equal(all.indexOf(part), -1, `${part.toString('hex')} is in what the engine forwards`);
    }
  }
}

test('the frames are SFrame, and a participant opens only those of its own time in the call', TEST_LIMIT, (t) =>
  inRoom(t, 'media', async (enter) => {
    const ada = await enter('Ada', { ...encrypted, before: [[recordKeys]] });
    const grace = await enter('Grace', viewer);
    await haveKeys(ada, grace);
    const player = await play(`${leat.url}/whep/media?${new URLSearchParams({ peer: 'Ada', ssrc: true })}`);
    t.after(() => player.stop());
    const more = async (what) => {
      const [pictures, sounds] = [player.frames, player.packets];
      await until(what, () => player.frames >= pictures + FRAMES && player.packets >= sounds + FRAMES);
    };
    await more('frames before Linus');
    const linus = await enter('Linus', viewer);
    await haveKeys(ada, linus);
    await until('Linus decrypts', async () => (await framesOf(linus, 'Ada')).opened > FRAMES);
    await more('frames with Linus');
    const ids = await linus.page.evaluate(() => window.__leat.store.getState().call.peers.map(({ id, name }) => [id, name]));
    const adaId = ids.find(([, name]) => name === 'Ada')?.[0] ?? assert.fail(JSON.stringify(ids));
    const epochs = (await keysOf(ada)).length;
    await linus.page.evaluate(() => window.__leat.call.leave());
    await until('Ada has a new key', async () => (await keysOf(ada)).length > epochs);
    const last = (await keysOf(ada)).at(-1).epoch;
    await until('frames with the new key', () => epochOf(sealedIn(player.pictures.at(-1))) >= last);
    await more('frames after Linus');

    const [all, his] = [await keysOf(ada), await keysOf(linus, adaId)];
    const [first, final] = [his[0].epoch, his.at(-1).epoch];
    for (const [source, frames] of [
      ['camera', player.pictures.map(sealedIn)],
      ['microphone', player.sounds],
    ]) {
      isSframe(frames);
      const plain = openAll(frames, all, source);
      assert.equal(countOf(plain), frames.length, `frames of the ${source} that the keys of Ada open`);
      assert.equal(countOf(openAll(frames, all, 'screen')), 0, 'frames under the name of another source');
      hidesAll(frames, plain);
      const phases = {
        before: frames.filter((one) => epochOf(one) < first),
        during: frames.filter((one) => epochOf(one) >= first && epochOf(one) <= final),
        after: frames.filter((one) => epochOf(one) > final),
      };
      const counts = Object.entries(phases).map(([phase, list]) => [phase, list.length, countOf(openAll(list, his, source))]);
      t.diagnostic(`${source}: ${counts.map(([phase, list, open]) => `${phase} ${open} of ${list}`).join(', ')} opened by Linus`);
      for (const [phase, list, open] of counts) {
        assert.ok(list >= FRAMES, `${list} frames ${phase}`);
        assert.equal(open, phase === 'during' ? list : 0, `frames ${phase} that Linus opens`);
      }
      if (source !== 'camera') continue;
      // The picture is there with the keys, and only with them.
      const withKeys = await player.decode(plain);
      assert.ok(withKeys.frames >= plain.length, `ffmpeg decoded ${withKeys.frames} of ${plain.length}\n${withKeys.printed}`);
      const without = await player.decode();
      assert.equal(without.frames, 0, 'frames that ffmpeg decodes without the keys');
    }
    assert.equal(await player.stop(), 200);
  }),
);

/** The messages that the engine sends to a participant without the SDK, while Ada sends a marker in each way. */
async function messagesOf(t, room, options) {
  let texts = [];
  const files = new Files();
  try {
    await inRoom(t, room, async (enter) => {
      const eve = await openChannels(browser, pages, leat.url, room, 'Eve');
      try {
        const ada = await enter('Ada', { ...options, camera: [withoutDevices] });
        const grace = await enter('Grace', { ...options, camera: [withoutDevices] });
        if (options.encrypted) await haveKeys(ada, grace);
        await ada.page.evaluate(() => {
          window.channel = window.__leat.call.openChannel('game', { ordered: true });
        });
        await openPanel(ada);
        await openPanel(grace);
        await choose(ada, files.made(`${MARKER}.bin`, 100_000).path);
        await hasState(grace, `${MARKER}.bin`, 'offered');
        const labels = ['game', 'leat.files'];
        for (const label of labels) {
          await until(`Eve knows ${label}`, () => eve.evaluate((label) => window.known().includes(label), label));
          await eve.evaluate((label) => window.receive(label), label);
        }
        await until('Eve has messages of both', async () => {
          await ada.page.evaluate((text) => window.channel.state === 'open' && window.channel.send(text), MARKER);
          texts = await eve.evaluate((labels) => labels.map((label) => window.texts(label)), labels);
          return texts.every((list) => list.length > 0);
        });
      } finally {
        await eve.context().close();
      }
    });
  } finally {
    files.remove();
  }
  return texts;
}

test('messages and files are clear in a clear call, and SFrame in an encrypted one', TEST_LIMIT, async (t) => {
  const hasMarker = (text) => text.includes(MARKER);
  const clear = await messagesOf(t, 'clear', {});
  for (const list of clear) assert.ok(list.some(hasMarker), 'the marker in a clear call');
  const sealed = await messagesOf(t, 'sealed', encrypted);
  for (const list of sealed) {
    assert.ok(!list.some(hasMarker), 'the marker in an encrypted call');
    isSframe(list.map((text) => Buffer.from(text, 'latin1')));
  }
});
