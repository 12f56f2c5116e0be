// Pages of other origins: a listed one uses the server over HTTP polling and over a WebSocket, another one
// over neither.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { LOOPBACK, LOOPBACK_HOST } from './lib/family.js';
import { Leat } from './lib/leat.js';
import { launch } from './lib/peers.js';

const SECRET = 'a secret that is used in these tests only';

let browser;
const sites = [];

/** A new origin with one empty page. */
async function site() {
  const server = createServer((_, answer) =>
    answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>site</title>'),
  );
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  sites.push(server);
  return `http://${LOOPBACK_HOST}:${server.address().port}`;
}

before(async () => {
  browser = await launch();
});

after(async () => {
  await browser?.close();
  for (const server of sites) server.close();
});

/**
 * Runs in a page: the first requests of a Socket.IO client, over polling with a preflight request, and over a
 * WebSocket.
 */
async function talk(url) {
  const polling = async () => {
    const path = `${url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(path)).text()).slice(1));
    const headers = { 'Content-Type': 'application/octet-stream' };
    await fetch(`${path}&sid=${sid}`, { method: 'POST', body: '40', headers });
    // A ping (2) may arrive before the answer (40).
    const packets = (await (await fetch(`${path}&sid=${sid}`)).text()).split('\x1e');
    return packets.map((packet) => packet.slice(0, 2)).find((packet) => packet === '40');
  };
  const websocket = () =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
      socket.onmessage = ({ data }) => resolve(data.slice(0, 1));
      socket.onerror = () => reject(new Error('the socket failed'));
    });
  const leave = async () => (await fetch(`${url}/leave`, { method: 'POST', body: new Blob(['x']) })).status;
  const outcome = (promise) => promise.catch(() => 'refused');
  return [await outcome(polling()), await outcome(websocket()), await outcome(leave())];
}

async function from(origin, url) {
  const page = await browser.newPage();
  try {
    await page.goto(origin);
    return await page.evaluate(talk, url);
  } finally {
    await page.close();
  }
}

test('a listed origin may use a server with a key, another one may not', { timeout: 90_000 }, async () => {
  const [listed, other] = [await site(), await site()];
  const leat = await Leat.start(['--secret', SECRET, '--allow-origin', listed]);
  try {
    assert.deepEqual(await from(listed, leat.url), ['40', '0', 400]);
    assert.deepEqual(await from(leat.url, leat.url), ['40', '0', 400]);
    assert.deepEqual(await from(other, leat.url), ['refused', 'refused', 'refused']);
  } finally {
    await leat.stop();
  }
});

test('in development mode pages of all origins on this machine may use the server', { timeout: 90_000 }, async () => {
  const leat = await Leat.start();
  try {
    assert.deepEqual(await from(await site(), leat.url), ['40', '0', 400]);
  } finally {
    await leat.stop();
  }
});
