// File transfer and data channels between participants of the web app.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoom } from './lib/room.js';
import { PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

const SIZE = 20 * 1024 * 1024;
/** A busy machine needs minutes for it. */
const TRANSFER = { timeoutMs: 5 * PATIENCE_MS };

let folder;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'leat-files-'));
});

after(() => rmSync(folder, { recursive: true }));

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** A file with random content. */
function made(name, size) {
  const path = join(folder, name);
  const bytes = randomBytes(size);
  writeFileSync(path, bytes);
  return { path, hash: sha256(bytes) };
}

const openPanel = (peer) => peer.page.getByRole('button', { name: /^Files/ }).click();

const choose = (peer, path) => peer.page.locator('.files input[type="file"]').setInputFiles(path);

/** The transfer of a file as a participant has it; undefined before. */
const transfer = (peer, name) =>
  peer.page.evaluate(
    (name) => [...window.__leat.store.getState().fileTransfers.values()].find(({ metadata }) => metadata.name === name),
    name,
  );

const hasState = (peer, name, state) =>
  until(`${name} is ${state} at ${peer.name}`, async () => (await transfer(peer, name))?.state === state, TRANSFER);

/** Restarts ICE as soon as a part of the file has arrived. Later, `window.restartedAt` is the number of bytes until then. */
const restartIceDuring = (peer, name) =>
  peer.page.evaluate((name) => {
    const { store, call } = window.__leat;
    const stop = store.subscribe(({ fileTransfers }) => {
      const { bytes = 0 } = [...fileTransfers.values()].find(({ metadata }) => metadata.name === name) ?? {};
      if (bytes === 0) return;
      stop();
      window.restartedAt = bytes;
      call.faults.restartIce();
    });
  }, name);

/** The ICE user name of each transport, which a restart changes. */
const iceNames = (peer) =>
  peer.page.evaluate(async () => {
    const names = [];
    for (const direction of ['send', 'recv']) {
      const report = await window.__leat.call.getStats(direction);
      for (const stats of report.values()) if (stats.type === 'transport') names.push(stats.iceLocalUsernameFragment);
    }
    return names;
  });

/** What the browser downloads when the user saves the file. */
async function saved(peer, name) {
  const downloading = peer.page.waitForEvent('download');
  await peer.press(`Save ${name}`);
  const download = await downloading;
  const path = join(folder, `saved-${name}`);
  await download.saveAs(path);
  return { name: download.suggestedFilename(), hash: sha256(readFileSync(path)) };
}

const packets = async (peer, from) => (await peer.stream(from, 'audio'))?.packets ?? 0;

test('a file arrives whole although ICE restarts, another is declined, and sound continues', TEST_LIMIT, (t) =>
  inRoom(t, { names: ['Ada', 'Bob'] }, async ({ peers: [ada, bob], enter, step }) => {
    await openPanel(ada);
    await openPanel(bob);

    await step('20 MiB, with ICE restarts at both ends', async () => {
      const { path, hash } = made('plan.bin', SIZE);
      const before = { ada: await iceNames(ada), bob: await iceNames(bob) };
      const heard = [await packets(bob, 'Ada')];
      await choose(ada, path);
      await hasState(bob, 'plan.bin', 'offered');
      assert.equal((await transfer(ada, 'plan.bin')).bytes, 0, 'bytes before the acceptance');
      await restartIceDuring(ada, 'plan.bin');
      await restartIceDuring(bob, 'plan.bin');
      await bob.press('Accept plan.bin');
      for (const peer of [ada, bob]) {
        await until(`ICE of ${peer.name} restarts`, () => peer.page.evaluate(() => window.restartedAt !== undefined));
        const at = await peer.page.evaluate(() => window.restartedAt);
        assert.ok(at < SIZE, `${peer.name} had ${at} bytes at the restart`);
      }
      heard.push(await packets(bob, 'Ada'));
      await hasState(bob, 'plan.bin', 'done');
      await hasState(ada, 'plan.bin', 'done');
      assert.deepEqual(await saved(bob, 'plan.bin'), { name: 'plan.bin', hash });
      await until('more sound arrives', async () => (await packets(bob, 'Ada')) > heard[1]);
      assert.ok(heard[1] > heard[0], `packets of sound: ${heard}`);
      const now = { ada: await iceNames(ada), bob: await iceNames(bob) };
      for (const name of ['ada', 'bob']) {
        assert.equal(now[name].length, 2);
        now[name].forEach((one, index) => {
          assert.notEqual(one, before[name][index], `ICE of ${name} has not restarted`);
        });
      }
    });

    await step('a file that is declined', async () => {
      await ada.page.locator('.files select').selectOption({ label: 'Bob' });
      await choose(ada, made('joke.txt', 1_000).path);
      await hasState(bob, 'joke.txt', 'offered');
      await bob.press('Decline joke.txt');
      await hasState(ada, 'joke.txt', 'declined');
      assert.equal((await transfer(bob, 'joke.txt')).bytes, 0);
    });

    await step('a file for everyone in a room of three', async () => {
      const grace = await enter('Grace');
      await grace.connected();
      await openPanel(grace);
      await until('Ada knows Grace', () => ada.page.evaluate(() => window.__leat.store.getState().peers.size === 2));
      await ada.page.locator('.files select').selectOption({ label: 'everyone' });
      const { path, hash } = made('for-all.bin', 2_000_000);
      await choose(ada, path);
      for (const peer of [bob, grace]) {
        await hasState(peer, 'for-all.bin', 'offered');
        await peer.press('Accept for-all.bin');
      }
      for (const peer of [bob, grace, ada]) await hasState(peer, 'for-all.bin', 'done');
      for (const peer of [bob, grace]) assert.deepEqual(await saved(peer, 'for-all.bin'), { name: 'for-all.bin', hash });
      await grace.close();
    });

    await step('a channel of the application, over new transports too', async () => {
      await ada.page.evaluate(listen);
      await bob.page.evaluate(() => {
        window.states = [];
        const onState = (state) => window.states.push(state);
        window.channel = window.__leat.call.openChannel('game', { ordered: true, onState });
      });
      const arrives = async (states, part) => {
        await until(`the states of the channel are ${states}`, () =>
          bob.page.evaluate((states) => window.states.join() === states, states),
        );
        // What is sent before the receiver has the channel is lost.
        await until(`${part} arrives`, async () => {
          await bob.page.evaluate((part) => {
            window.channel.send(part);
            window.channel.send(new TextEncoder().encode(`${part} in bytes`));
          }, part);
          const heard = await ada.page.evaluate(() => window.heard);
          return [part, `${part} in bytes`].every((text) => heard.includes(`${bob.id} game ${text}`));
        });
      };
      bob.id = await bob.page.evaluate(() => window.__leat.store.getState().call.peerId);
      await arrives('open', 'first');
      await bob.page.evaluate(() => window.__leat.call.faults.rejoin());
      await arrives('open,opening,open', 'second');
      await bob.page.evaluate(() => window.channel.close());
      assert.equal(await bob.page.evaluate(() => window.channel.state), 'closed');
      await ada.page.evaluate(() => window.listener.leave());
    });
  }),
);

test('in an encrypted call a file arrives, and the server forwards ciphertext only', TEST_LIMIT, (t) =>
  inRoom(t, { names: [] }, async ({ enter }) => {
    const before = [[recordChannels]];
    const ada = await enter('Ada', { encrypted: true, before });
    const bob = await enter('Bob', { encrypted: true, before });
    await ada.receives(['Bob']);
    await bob.receives(['Ada']);
    await openPanel(ada);
    await openPanel(bob);
    const { path, hash } = made('secret-plan.bin', 3_000_000);
    await choose(ada, path);
    await hasState(bob, 'secret-plan.bin', 'offered');
    await bob.press('Accept secret-plan.bin');
    await hasState(bob, 'secret-plan.bin', 'done');
    assert.deepEqual(await saved(bob, 'secret-plan.bin'), { name: 'secret-plan.bin', hash });
    for (const peer of [ada, bob]) {
      const { messages, clear } = await peer.page.evaluate(() => window.channelMessages);
      assert.ok(messages > 3, `${peer.name} sent ${messages} messages`);
      assert.equal(clear, 0, `${peer.name} sent the name of the file in clear`);
    }
  }),
);

/** Runs in the page: a participant that keeps the messages of channels in `window.heard`. */
function listen() {
  const { Call, store } = window.__leat;
  const { room } = store.getState();
  window.heard = [];
  const onData = (from, label, data) => {
    window.heard.push(`${from} ${label} ${typeof data === 'string' ? data : new TextDecoder().decode(data)}`);
  };
  window.listener = new Call({ room, displayName: 'Eve' }, { onView: () => {}, onNotice: () => {}, onData });
  window.listener.join();
}

/** Runs in the page, before the app: counts what data channels send, and what has the name of the file in it. */
function recordChannels() {
  const counts = { messages: 0, clear: 0 };
  window.channelMessages = counts;
  const { send } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.send = function (data) {
    counts.messages += 1;
    const text = typeof data === 'string' ? data : new TextDecoder('latin1').decode(data);
    if (text.includes('secret-plan')) counts.clear += 1;
    return send.call(this, data);
  };
}
