// The page /whip of the web app: one page publishes, another one plays.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Leat } from './lib/leat.js';
import { CAPTURE, constrainCamera, launch } from './lib/peers.js';
import { machineLoad, PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

const FRAMES = 60;

async function open(browser, url, name) {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  // A violation of the page's policy is an error of the console.
  page.on('console', (message) => message.text().includes('Content Security Policy') && errors.push(message.text()));
  await page.addInitScript(constrainCamera, CAPTURE);
  await page.goto(`${url}/whip?${new URLSearchParams({ room: 'millpond', name })}`);
  return { page, errors, press: (label) => page.getByRole('button', { name: label, exact: true }).click() };
}

const isIn = (status, { page }) => page.locator(`[role="status"][data-status="${status}"]`).waitFor();

/** The number in the last column of the first row of video. */
const frames = async ({ page }) =>
  Number(await page.locator('.streams tr[data-kind="video"] td:last-child').first().textContent());

test('one page publishes, another waits for it and plays it', TEST_LIMIT, async (t) => {
  const leat = await Leat.start();
  const browser = await launch();
  try {
    const player = await open(browser, leat.url, 'Player');
    await player.press('Play');
    await isIn('waiting', player);
    assert.match(await player.page.getByRole('status').textContent(), /^Waiting for a publisher\. \S/);

    const camera = await open(browser, leat.url, 'Camera');
    await camera.page.getByLabel('Codec').selectOption('VP8');
    await camera.press('Publish');
    await isIn('publishing', camera);
    await isIn('playing', player);
    for (const one of [camera, player]) {
      await until(`${FRAMES} frames`, async () => (await frames(one)) >= FRAMES);
      const row = await one.page.locator('.streams tr[data-kind="video"]').first().textContent();
      assert.match(row, /VP8.*\d×\d/);
    }
    const video = player.page.locator('video');
    await until('the picture is shown', () => video.evaluate((video) => video.videoWidth > 0 && !video.paused));

    await player.press('Stop');
    await isIn('idle', player);
    await camera.press('Stop');
    await isIn('idle', camera);
    await player.press('Play');
    await isIn('waiting', player);
    for (const { errors } of [player, camera]) assert.deepEqual(errors, []);
  } catch (error) {
    t.diagnostic(`--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`);
    throw error;
  } finally {
    await browser.close().finally(() => leat.stop());
  }
});
