// The examples of the SDK in signaling/web/examples, each in real pages, as `npm run examples` serves them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LOOPBACK, LOOPBACK_HOST } from './lib/family.js';
import { freeTcpPort, Leat, ROOT } from './lib/leat.js';
import { launch } from './lib/peers.js';
import { PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

const WEB = join(ROOT, 'signaling/web');

let leat;
let vite;
let url;
let browser;

before(async () => {
  leat = await Leat.start();
  const port = await freeTcpPort();
  url = `http://${LOOPBACK_HOST}:${port}`;
  const args = ['--config', 'vite.examples.config.ts', '--host', LOOPBACK, '--port', String(port), '--strictPort'];
  vite = spawn(process.execPath, [join(WEB, 'node_modules/vite/bin/vite.js'), ...args], {
    cwd: WEB,
    env: { ...process.env, LEAT_SIGNALING: leat.url },
    stdio: 'ignore',
  });
  await until('the examples are served', async () => (await fetch(`${url}/call.html`).catch(() => null))?.ok);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  if (vite?.exitCode === null) {
    vite.kill();
    await once(vite, 'exit');
  }
  await leat?.stop();
});

/** Opens a page of each of these names in one room. A test fails on an error in any of them. */
async function inPages(example, names, body) {
  const pages = [];
  const errors = [];
  try {
    for (const name of names) {
      const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      page.on('pageerror', (error) => errors.push(`${name}: ${error.message}`));
      await page.goto(`${url}/${example}.html?room=${example}&name=${name}`);
      pages.push(page);
    }
    await body(...pages);
    assert.deepEqual(errors, []);
  } catch (error) {
    throw new Error(`${error.message}\n${errors.join('\n')}\n${leat.log}`);
  } finally {
    for (const page of pages) await page.context().close();
  }
}

/** Waits until every video of the page shows new pictures. */
function playing(page, count) {
  const frames = () =>
    page.locator('video').evaluateAll((all) => all.map((one) => one.getVideoPlaybackQuality().totalVideoFrames));
  return until(`${count} videos play`, async () => {
    const counts = await frames();
    return counts.length === count && counts.every((number) => number > 10);
  });
}

test('call: everyone sees everyone', TEST_LIMIT, () =>
  inPages('call', ['Ada', 'Grace', 'Hedy'], async (...pages) => {
    for (const page of pages) await playing(page, 2);
    assert.equal(await pages[0].locator('audio').count(), 2);
    await pages[2].goto('about:blank');
    await until('the tile of the one who left is gone', async () => (await pages[0].locator('video').count()) === 1);
  }),
);

test('chat: a message arrives at the others', TEST_LIMIT, () =>
  inPages('chat', ['Ada', 'Grace', 'Hedy'], async (ada, ...others) => {
    const sent = async () => {
      const field = ada.getByLabel('Message');
      if ((await field.inputValue()) === '') return true;
      await field.dispatchEvent('change');
      return false;
    };
    await ada.getByLabel('Message').fill('hello');
    // The channel needs a moment, and the others have to be there.
    await until('the message is sent', sent);
    for (const page of others) {
      await until(
        'it arrives',
        async () => {
          if ((await page.locator('li').allTextContents()).includes('Ada: hello')) return true;
          await ada.getByLabel('Message').fill('hello');
          await ada.getByLabel('Message').dispatchEvent('change');
          return false;
        },
        { everyMs: 1_000 },
      );
    }
  }),
);

test('file: an accepted file arrives whole', TEST_LIMIT, () =>
  inPages('file', ['Ada', 'Grace'], async (ada, grace) => {
    const text = 'the quick brown fox '.repeat(10_000);
    const file = { name: 'fox.txt', mimeType: 'text/plain', buffer: Buffer.from(text) };
    // A file is offered to those who are in the room at that time.
    await until(
      'it is offered',
      async () => {
        if ((await grace.getByRole('button', { name: 'Accept' }).count()) > 0) return true;
        await ada.getByLabel('File').setInputFiles(file);
        return false;
      },
      { everyMs: 3_000 },
    );
    await grace.getByRole('button', { name: 'Accept' }).first().click();
    const link = grace.getByRole('link', { name: 'Save' }).first();
    await link.waitFor();
    const received = await link.evaluate(async (one) => (await fetch(one.href)).text());
    assert.equal(received, text);
  }),
);

test('layout: the one who speaks is large', TEST_LIMIT, () =>
  inPages('layout', ['Ada', 'Grace'], async (ada, grace) => {
    await playing(ada, 1);
    await playing(grace, 1);
    assert.deepEqual(await ada.locator('figcaption').allTextContents(), ['Grace']);
    await ada.locator('figure[data-speaks=true]').waitFor();
  }),
);

test('whip: what is published is played', TEST_LIMIT, () => inPages('whip', ['Ada'], (page) => playing(page, 1)));
