// Chat, raised hands and reactions of the web app, in clear and in encrypted calls.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encrypted, haveKeys } from './lib/encryption.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const messages = (peer) => peer.page.locator('.message .text').allTextContents();

async function say(peer, text, to = 'everyone') {
  await peer.page.getByLabel('To', { exact: true }).selectOption({ label: to });
  await peer.page.getByLabel('Message', { exact: true }).fill(text);
  await peer.page.getByLabel('Message', { exact: true }).press('Enter');
}

const hears = (peer, text) => until(`${peer.name} reads ${text}`, async () => (await messages(peer)).includes(text));

/** Names in the order of their hands, as a page shows it. */
const hands = (peer) =>
  peer.page.evaluate(() => {
    const { call } = window.__leat.store.getState();
    const nameOf = (id) => (id === call.peerId ? 'me' : (call.peers.find((other) => other.id === id)?.name ?? id));
    return call.hands.map(nameOf).join();
  });

const handsAre = (peer, order) => until(`${peer.name} sees the hands ${order}`, async () => (await hands(peer)) === order);

async function converse(t, kind, options) {
  await inRoom(t, { names: [] }, async ({ enter }) => {
    const [ada, grace] = [await enter('Ada', options), await enter('Grace', options)];
    for (const peer of [ada, grace]) await peer.connected();
    if (kind === 'encrypted') await haveKeys(ada, grace);
    await ada.receives(['Grace']);

    await ada.page.keyboard.press('c');
    await say(ada, 'hello <b>all</b>: https://leat.example/');
    await grace.page.getByRole('button', { name: 'Chat (1 new)' }).click();
    await hears(grace, 'hello <b>all</b>: https://leat.example/');
    const link = grace.page.locator('.message a');
    assert.equal(await link.getAttribute('href'), 'https://leat.example/');
    assert.equal(await grace.page.locator('.message b').count(), 0);
    assert.equal(await grace.page.getByRole('button', { name: 'Chat', exact: true }).getAttribute('aria-pressed'), 'true');

    const eve = await enter('Eve', options);
    await eve.connected();
    if (kind === 'encrypted') await haveKeys(ada, grace, eve);
    await until('Ada sees Eve', async () => (await ada.tiles()).includes('Eve'));
    await eve.page.keyboard.press('c');
    await say(grace, 'only for Ada', 'Ada');
    await say(grace, 'for both');
    await hears(ada, 'only for Ada');
    await hears(eve, 'for both');
    // The messages of a sender arrive in their order: Eve did not get the one before.
    assert.deepEqual(await messages(eve), ['for both']);
    await grace.screenshot(`chat-${kind}.png`);

    await grace.page.getByLabel('Message', { exact: true }).fill('x'.repeat(4_001));
    await grace.page.getByRole('alert').filter({ hasText: 'At most 4,000' }).waitFor();
    assert.equal(await grace.page.getByRole('button', { name: 'Send', exact: true }).isDisabled(), true);

    await grace.press('Raise hand');
    await handsAre(ada, 'Grace');
    await ada.press('Raise hand');
    await handsAre(eve, 'Grace,Ada');
    // Who joins later sees them in the same order.
    const linus = await enter('Linus', options);
    await linus.connected();
    await handsAre(linus, 'Grace,Ada');
    assert.equal(await linus.tileOf('Ada').locator('.hand').textContent(), '✋ 2');
    await grace.press('Lower hand');
    await handsAre(linus, 'Ada');
    await ada.close();
    await handsAre(linus, '');

    await grace.press('React');
    await grace.press('React with 🎉');
    const reaction = eve.tileOf('Grace').locator('.reaction');
    await reaction.waitFor();
    assert.equal(await reaction.textContent(), '🎉');
    await reaction.waitFor({ state: 'detached' });
  });
}

test('chat, hands and reactions in a clear call', TEST_LIMIT, (t) => converse(t, 'clear', {}));

test('chat, hands and reactions in an encrypted call', TEST_LIMIT, (t) => converse(t, 'encrypted', encrypted));
