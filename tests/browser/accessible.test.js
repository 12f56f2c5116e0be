// The app for everyone: axe finds nothing in any state, in light and dark and on a phone; the main flow works with the
// keyboard alone; it is in German on request. Screenshots of every state are in target/test/screenshots.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { focusOf, hasFocus, tabTo, usable } from './lib/accessible.js';
import { Leat } from './lib/leat.js';
import { CAPTURE, constrainCamera, launch, Peer } from './lib/peers.js';
import { serveApp } from './lib/previous.js';
import { expiresIn, mintToken } from './lib/token.js';
import { machineLoad, PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

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

const token = (name, permissions = {}, room = ROOM) =>
  mintToken(SECRET, { sub: name.toLowerCase(), room, name, exp: expiresIn(600), permissions });

/** After the click on Join. */
const enter = (name, permissions) =>
  Peer.open(browser, leat.url, { room: ROOM, name, token: token(name, permissions), needsClick: true });

/** A page of the app, without a call. */
async function open(path, fragment = {}) {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.addInitScript(constrainCamera, CAPTURE);
  if (process.env.LEAT_APP !== undefined) await serveApp(page, leat.url, process.env.LEAT_APP, 'token');
  await page.goto(`${leat.url}${path}#${new URLSearchParams(fragment)}`);
  return page;
}

const button = (page, name) => page.getByRole('button', { name, exact: true });

test('no state of the app has a violation, in light and dark, on a desktop and a phone', TEST_LIMIT, async (t) => {
  const pages = [];
  const step = (name, part) => t.test(name, part);
  try {
    await step('the join page, its settings and a failure', async () => {
      const page = await open(`/?room=${ROOM}&name=Eve`);
      pages.push(page);
      await page.locator('.preview video').waitFor();
      await usable(page, 'join');
      await button(page, 'Language and display').click();
      await usable(page, 'settings');
      await page.keyboard.press('Escape');
      await button(page, 'Join').click();
      await page.getByRole('alert').waitFor();
      await usable(page, 'failure');
    });

    await step('the page of WHIP and WHEP', async () => {
      const page = await open('/whip?room=other');
      pages.push(page);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await usable(page, 'whip');
    });

    await step('the check of the connection', async () => {
      const page = await open('/check');
      pages.push(page);
      await page.locator('.verdict[data-verdict]').waitFor();
      await usable(page, 'check');
    });

    const ada = await enter('Ada', { admin: true });
    pages.push(ada.page);
    await ada.connected();
    await step('alone in the call', () => usable(ada.page, 'alone'));

    const grace = await enter('Grace');
    pages.push(grace.page);
    await grace.connected();
    await ada.receives(['Grace']);
    await step('two in the call', () => usable(ada.page, 'two'));

    await step('every panel', async () => {
      await ada.page.evaluate(() => window.__leat.call.admin.setRoom({ waitingRoom: true }));
      const katherine = await enter('Katherine');
      pages.push(katherine.page);
      await katherine.page.getByText('You are in the waiting room.').waitFor();
      await usable(katherine.page, 'waiting');

      const waiting = () => ada.page.evaluate(() => window.__leat.store.getState().call.waitingClients.length);
      await until('Ada knows that Katherine waits', async () => (await waiting()) === 1);
      await grace.press('Files');
      await grace.page.locator('.files input[type="file"]').setInputFiles({
        name: 'A plan with a name that is much too long for the width of a phone.pdf',
        mimeType: 'application/pdf',
        buffer: Buffer.alloc(100_000, 7),
      });
      await until('the file is offered', () => ada.page.evaluate(() => window.__leat.store.getState().fileTransfers.size > 0));

      // Each control that opens a panel or a menu says whether it is open.
      const controls = ada.page.locator('.controls [aria-pressed], .controls [aria-expanded]');
      const panel = ada.page.locator('aside');
      for (let index = 0; index < (await controls.count()); index += 1) {
        const control = controls.nth(index);
        const name = (await control.getAttribute('aria-label')).replace(/ \(.*/, '');
        await control.click();
        const isOpen = (await panel.count()) > 0 || (await control.getAttribute('aria-expanded')) === 'true';
        if (isOpen) await usable(ada.page, `panel-${name.toLowerCase().replaceAll(' ', '-')}`);
        await control.click();
        await panel.waitFor({ state: 'detached' });
      }
    });

    for (const { name, errors } of [ada, grace]) assert.deepEqual(errors, [], `uncaught in the page of ${name}`);
  } catch (error) {
    error.message += `\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    for (const page of pages) await page.context().close();
  }
});

test('the main flow works with the keyboard alone', TEST_LIMIT, async () => {
  const page = await open('/', { token: token('Mary', {}, 'keys') });
  try {
    const type = async (label, text) => {
      await tabTo(page, label);
      await page.keyboard.type(text);
    };
    await type('Room', 'keys');
    await type('Your name', 'Mary');
    // Enter in a field joins.
    await page.keyboard.press('Enter');
    await page.locator('.chip[data-session="Connected"]').waitFor();

    await tabTo(page, 'Go to the controls');
    await page.keyboard.press('Enter');
    await hasFocus(page, 'Mute microphone');
    await page.keyboard.press('Space');
    await hasFocus(page, 'Unmute microphone');
    await page.keyboard.press('m');
    await hasFocus(page, 'Mute microphone');

    // A panel takes the focus, and Escape gives it back.
    await tabTo(page, 'Who is here');
    await page.keyboard.press('Enter');
    await hasFocus(page, 'Who is here');
    await page.getByRole('complementary').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H2');
    await page.keyboard.press('Tab');
    assert.equal(await focusOf(page), 'Close');
    await page.keyboard.press('Escape');
    await page.getByRole('complementary').waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement.ariaKeyShortcuts), 'P');

    // A dialog keeps the focus until it is closed.
    await tabTo(page, 'Language and display');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    for (let stop = 0; stop < 8; stop += 1) {
      await page.keyboard.press('Tab');
      const isOutside = () => document.activeElement !== document.body && !document.activeElement.closest('dialog');
      assert.equal(await page.evaluate(isOutside), false);
    }
    await tabTo(page, 'Single letters are shortcuts');
    await page.keyboard.press('Space');
    // A letter in a list selects an entry, and is no shortcut.
    await tabTo(page, 'Language');
    await page.keyboard.type('D');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await page.getAttribute('html', 'lang'), 'de');
    await hasFocus(page, 'Sprache und Anzeige');

    await page.keyboard.press('p');
    await tabTo(page, 'Teilnehmer');
    assert.equal(await page.getByRole('complementary').count(), 0);

    await tabTo(page, 'Gespräch verlassen');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Einem Raum beitreten' }).waitFor();
  } finally {
    await page.context().close();
  }
});

test('the language and the colours follow the address, the choice and the browser', TEST_LIMIT, async () => {
  const page = await open('/?lang=de');
  try {
    const title = (text) => page.getByRole('heading', { level: 1, name: text }).waitFor();
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    await title('Einem Raum beitreten');
    assert.equal(await page.getAttribute('html', 'lang'), 'de');

    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await background();
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await background();
    assert.notEqual(dark, light);
    await button(page, 'Sprache und Anzeige').click();
    await page.locator('select[name="theme"]').selectOption('dark');
    assert.equal(await background(), dark);
    await page.locator('select[name="language"]').selectOption('en');
    await title('Join a room');

    // Both choices are kept, and the address still decides before them.
    await page.goto(`${leat.url}/`);
    await title('Join a room');
    assert.equal(await background(), dark);
    await page.goto(`${leat.url}/?lang=de`);
    await title('Einem Raum beitreten');
  } finally {
    await page.context().close();
  }
});

test('nothing moves for people who do not want motion', TEST_LIMIT, async () => {
  const page = await open('/');
  try {
    await page.locator('.preview').waitFor();
    // The sign of a device that starts.
    const animated = () =>
      page.evaluate(() => {
        document.querySelector('.preview .tile').classList.add('waiting');
        return document.getAnimations().length > 0;
      });
    assert.equal(await animated(), true);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    assert.equal(await animated(), false);
  } finally {
    await page.context().close();
  }
});
