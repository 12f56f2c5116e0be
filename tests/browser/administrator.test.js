// An administrator of a room in the web app: mutes, removes and bans a person, locks the room, admits from the waiting
// room, passes its role on, and ends the call. The others read what happened.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { expiresIn, mintToken } from './lib/token.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

const SECRET = 'a secret that is used in these tests only';
const ROOM = 'millpond';

let leat;
let browser;

before(async () => {
  leat = await Leat.start(['--secret', SECRET]);
  browser = await launch();
});

after(async () => {
  await browser?.close().finally(() => leat.stop());
});

/** A person with an own token, after the click on Join. */
function enter(name, permissions = {}) {
  const jwt = mintToken(SECRET, { sub: name.toLowerCase(), room: ROOM, name, exp: expiresIn(600), permissions });
  return Peer.open(browser, leat.url, { room: ROOM, name, token: jwt, needsClick: true });
}

/** The page before a call shows this failure. */
async function failed(peer, code, text) {
  const alert = peer.page.getByRole('alert');
  await until(`${peer.name} reads ${code}`, async () => (await alert.getAttribute('data-code')) === code);
  assert.equal((await alert.textContent()).trim(), text);
}

const reads = (peer, text) => peer.page.getByText(text, { exact: true }).first().waitFor();
const isMuted = async (peer, name) => (await peer.tileOf(name).getAttribute('data-muted')) === 'true';

/** Turns a setting of the room on or off, and waits for the server's answer. */
async function set(peer, label, on) {
  const setting = peer.page.getByRole('switch', { name: label });
  const isOn = async () => (await setting.getAttribute('aria-checked')) === 'true';
  assert.notEqual(await isOn(), on);
  await setting.click();
  await until(`${label} is ${on}`, async () => (await isOn()) === on);
}

test('an administrator mutes and removes a person, locks the room, and admits', TEST_LIMIT, async (t) => {
  const ada = await enter('Ada', { admin: true });
  const grace = await enter('Grace');
  const others = [];
  const step = (name, part) => t.test(name, part);
  try {
    for (const peer of [ada, grace]) await peer.connected();
    await ada.receives(['Grace']);
    for (const peer of [ada, grace]) await peer.press('Who is here');

    await step('only an administrator has the controls', async () => {
      await ada.page.getByRole('button', { name: 'Mute Grace' }).waitFor();
      assert.equal(await grace.page.getByRole('button', { name: /^(Mute|Remove|Ban|Make) Ada/ }).count(), 0);
      assert.equal(await grace.page.getByRole('switch').count(), 0);
    });

    await step('a muted person cannot unmute before the administrator allows it', async () => {
      await ada.press('Mute Grace');
      await reads(grace, 'An administrator muted your microphone.');
      await until('Ada sees that Grace is muted', () => isMuted(ada, 'Grace'));
      const notices = grace.page.getByText('An administrator muted your microphone.', { exact: true });
      const before = await notices.count();
      await grace.press('Unmute microphone');
      await until('Grace reads it again', async () => (await notices.count()) > before);
      assert.ok(await isMuted(ada, 'Grace'));

      await ada.press('Allow unmute for Grace');
      await reads(grace, 'You may unmute your microphone again.');
      await grace.press('Unmute microphone');
      await until('Ada sees that Grace is not muted', async () => !(await isMuted(ada, 'Grace')));
    });

    await step('the room is locked', async () => {
      await set(ada, /^Lock/, true);
      await grace.page.getByRole('img', { name: 'The room is locked' }).waitFor();
      const eve = await enter('Eve');
      others.push(eve);
      await failed(eve, 'ROOM_LOCKED', 'This room is locked: only administrators may join now.');
      await set(ada, /^Lock/, false);
      await grace.page.getByRole('img', { name: 'The room is locked' }).waitFor({ state: 'detached' });
    });

    await step('a removed person reads the reason, and its token admits no more', async () => {
      await ada.press('Remove Grace');
      await ada.press('Keep Grace');
      await ada.press('Remove Grace');
      await ada.press('Yes, remove Grace');
      await failed(grace, 'EVICTED', 'You are no longer in the call: an administrator removed you from the room.');
      await until('Ada sees no other person', async () => (await ada.tiles()).length === 0);
      await grace.press('Join');
      await until('Grace is refused', async () => {
        return (await grace.page.getByRole('alert').getAttribute('data-code')) === 'TOKEN_REVOKED';
      });
    });

    await step('a person who waits is denied, and then admitted', async () => {
      await set(ada, /^Waiting room/, true);
      const katherine = await enter('Katherine');
      others.push(katherine);
      await reads(katherine, 'You are in the waiting room. An administrator has to admit you.');
      await reads(ada, 'Katherine waits to be admitted.');
      await ada.screenshot('administrator.png');
      await ada.press('Deny Katherine');
      await failed(katherine, 'NOT_ADMITTED', 'You could not join: an administrator did not admit you.');

      await katherine.press('Join');
      await reads(katherine, 'You are in the waiting room. An administrator has to admit you.');
      assert.equal(await katherine.session(), 'Handshaking');
      await ada.press('Admit Katherine');
      await katherine.connected();
      await katherine.receives(['Ada']);
      await ada.receives(['Katherine']);
      await set(ada, /^Waiting room/, false);
    });

    await step('the room is full', async () => {
      await ada.page.evaluate(() => window.__leat.call.admin.setRoom({ maxPeers: 2 }));
      const eve = await enter('Eve');
      others.push(eve);
      await failed(eve, 'ROOM_FULL', 'This room is full. Try again when a person has left.');
    });

    await step('a banned person reads that, and is not admitted with another token either', async () => {
      await ada.page.evaluate(() => window.__leat.call.admin.setRoom({ maxPeers: null }));
      const mallory = await enter('Mallory');
      others.push(mallory);
      await mallory.connected();
      await ada.press('Ban Mallory');
      await ada.press('Yes, ban Mallory: Until the call ends');
      await failed(mallory, 'EVICTED', 'You are no longer in the call: an administrator banned you from the room.');
      const again = await enter('Mallory', { admin: true });
      others.push(again);
      await failed(
        again,
        'BANNED',
        'You may not join this room: an administrator banned you from this room until the call ends.',
      );
      await reads(ada, '1 person is banned');
      await ada.press('End all bans');
      await again.press('Join');
      await again.connected();
      await again.press('Leave the call');
    });

    await step('an administrator hands its role over, and the new one ends the call for all', async () => {
      const linus = await enter('Linus');
      others.push(linus);
      await linus.connected();
      await linus.press('Who is here');
      await ada.press('Make host: Linus');
      await ada.press('Yes, and I am none any more: hand the role over to Linus');
      await ada.page.getByRole('switch').first().waitFor({ state: 'detached' });
      await linus.page.getByRole('button', { name: 'Mute Ada' }).waitFor();
      assert.equal(await ada.page.getByRole('button', { name: 'Mute Linus' }).count(), 0);
      // The server refuses what the page does not offer.
      const refused = await ada.page.evaluate(() => window.__leat.call.admin.endRoom().catch((error) => error.codeName));
      assert.equal(refused, 'TOKEN_PERMISSION');
      await linus.press('End the call for all');
      await linus.press('Yes, end the call for all');
      for (const peer of [ada, linus]) {
        await failed(peer, 'EVICTED', 'You are no longer in the call: an administrator ended the call.');
      }
    });

    for (const { name, errors } of [ada, grace, ...others]) assert.deepEqual(errors, [], `uncaught in the page of ${name}`);
  } catch (error) {
    error.message += `\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await Promise.all([ada, grace, ...others].map((peer) => peer.close()));
  }
});
