// File transfer and data channels between participants of the web app.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { choose, Files, hasState, openPanel, transfer } from './lib/files.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

let files;

before(() => {
  files = new Files();
});

after(() => files.remove());

test('a file arrives whole, another is declined, and a third goes to everyone', TEST_LIMIT, (t) =>
  inRoom(t, { names: ['Ada', 'Bob'] }, async ({ peers: [ada, bob], enter, step }) => {
    await openPanel(ada);
    await openPanel(bob);

    await step('a file that is accepted', async () => {
      const { path, hash } = files.made('plan.bin', 3_000_000);
      await choose(ada, path);
      await hasState(bob, 'plan.bin', 'offered');
      assert.equal((await transfer(ada, 'plan.bin')).bytes, 0, 'bytes before the acceptance');
      await bob.press('Accept plan.bin');
      await hasState(bob, 'plan.bin', 'done');
      await hasState(ada, 'plan.bin', 'done');
      assert.deepEqual(await files.saved(bob, 'plan.bin'), { name: 'plan.bin', hash });
    });

    await step('a file that is declined', async () => {
      await ada.page.locator('.files select').selectOption({ label: 'Bob' });
      await choose(ada, files.made('joke.txt', 1_000).path);
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
      const { path, hash } = files.made('for-all.bin', 2_000_000);
      await choose(ada, path);
      for (const peer of [bob, grace]) {
        await hasState(peer, 'for-all.bin', 'offered');
        await peer.press('Accept for-all.bin');
      }
      for (const peer of [bob, grace, ada]) await hasState(peer, 'for-all.bin', 'done');
      for (const peer of [bob, grace]) assert.deepEqual(await files.saved(peer, 'for-all.bin'), { name: 'for-all.bin', hash });
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
    const { path, hash } = files.made('secret-plan.bin', 3_000_000);
    await choose(ada, path);
    await hasState(bob, 'secret-plan.bin', 'offered');
    await bob.press('Accept secret-plan.bin');
    await hasState(bob, 'secret-plan.bin', 'done');
    assert.deepEqual(await files.saved(bob, 'secret-plan.bin'), { name: 'secret-plan.bin', hash });
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
