// The layouts of the web app, and that video which is not shown is not sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { sleep, stopsChanging, TEST_LIMIT, until } from './lib/wait.js';

/** Time in which audio must go on. */
const WINDOW_MS = 2_000;

const large = (peer) => peer.page.locator('.cell.large .name').allTextContents();
const isLarge = (peer, names) => until(`${names} is large for ${peer.name}`, async () => (await large(peer)).join() === names);
const packets = async (peer, from, kind) => (await peer.stream(from, kind)).packets;
const frames = async (peer, from) => (await peer.stream(from, 'video')).frames;

/** The page gets no video of this peer, and its audio goes on. */
async function hasNoVideo(peer, from, t) {
  const video = await stopsChanging(`the video of ${from}`, () => packets(peer, from, 'video'));
  const audio = await packets(peer, from, 'audio');
  const { bytes } = await peer.stream(from, 'video');
  await sleep(WINDOW_MS);
  assert.equal((await peer.stream(from, 'video')).bytes, bytes, 'bytes of video');
  assert.equal(await packets(peer, from, 'video'), video);
  await until('audio goes on', async () => (await packets(peer, from, 'audio')) > audio + 20);
  t.diagnostic(`${from}: 0 bytes of video in ${WINDOW_MS} ms, and audio`);
}

async function hasVideo(peer, from) {
  const before = await frames(peer, from);
  await until(`${peer.name} gets pictures of ${from}`, async () => (await frames(peer, from)) > before + 10);
}

/** Runs in the page: as if the user had changed to another tab, which a headless browser cannot do. */
function setVisibility(state) {
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
  document.dispatchEvent(new Event('visibilitychange'));
}

test('tiles are pinned, arranged and on pages, and video that is not shown is not sent', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada', 'Grace'] }, async ({ peers: [ada, grace], enter }) => {
    // A tile of a page that is hidden.
    await ada.page.evaluate(setVisibility, 'hidden');
    await hasNoVideo(ada, 'Grace', t);
    await ada.page.evaluate(setVisibility, 'visible');
    await hasVideo(ada, 'Grace');

    // A tile that is out of view.
    const cell = ada.page.locator('.cell').filter({ has: ada.page.getByText('Grace', { exact: true }) });
    await cell.evaluate((element) => element.style.setProperty('margin-top', '3000px'));
    await hasNoVideo(ada, 'Grace', t);
    await cell.evaluate((element) => element.style.removeProperty('margin-top'));
    await hasVideo(ada, 'Grace');

    // A tile on another page: a narrow window has two tiles in the strip below the large one.
    const more = [await enter('Bob', { camera: [withoutDevices] }), await enter('Cleo', { camera: [withoutDevices] })];
    await until('all are here', async () => (await ada.tiles()).join() === 'Bob,Cleo,Grace');
    await ada.page.setViewportSize({ width: 420, height: 800 });
    await ada.press('Pin Ada (you)');
    await ada.page.getByText('1 of 2', { exact: true }).waitFor();
    await hasVideo(ada, 'Grace');
    await ada.press('Next page');
    await hasNoVideo(ada, 'Grace', t);
    await ada.press('Previous page');
    await hasVideo(ada, 'Grace');
    await Promise.all(more.map((peer) => peer.close()));
    await ada.page.setViewportSize({ width: 1280, height: 800 });
    await ada.page.getByText('1 of 2', { exact: true }).waitFor({ state: 'detached' });
    await ada.press('Unpin Ada (you)');

    // By keyboard alone: pin, and the layout with a large speaker.
    assert.deepEqual(await large(ada), []);
    await ada.page.getByRole('button', { name: 'Pin Ada (you)' }).focus();
    await ada.page.keyboard.press('Enter');
    await isLarge(ada, 'Ada (you)');
    await hasVideo(ada, 'Grace');
    await ada.screenshot('layout-pinned.png');
    await ada.page.keyboard.press('Enter');
    await isLarge(ada, '');
    await ada.page.keyboard.press('l');
    await isLarge(ada, 'Grace');
    await ada.page.reload();
    await ada.connected();
    await isLarge(ada, 'Grace');
    await ada.page.keyboard.press('l');
    await isLarge(ada, '');

    // A screen is large by itself.
    await grace.page.evaluate(() => {
      const canvas = document.createElement('canvas');
      const context = canvas.getContext('2d');
      setInterval(() => {
        context.fillStyle = `hsl(${Math.random() * 360} 50% 50%)`;
        context.fillRect(0, 0, canvas.width, canvas.height);
      }, 100);
      window.__leat.call.setSource('screen', canvas.captureStream().getVideoTracks()[0]);
    });
    await isLarge(ada, "Grace's screen");
    await ada.screenshot('layout-screen.png');
    await grace.page.evaluate(() => window.__leat.call.setSource('screen', null));
    await isLarge(ada, '');
  });
});
