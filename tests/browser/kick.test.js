// After an administrator has removed a participant, the engine sends it nothing more, whatever its client does.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { expiresIn, mintToken } from './lib/token.js';
import { machineLoad, sleep, stopsChanging, TEST_LIMIT, until } from './lib/wait.js';

const SECRET = 'a secret that is used in these tests only';
const ROOM = 'weir';
/** Time in which the rate of packets is measured. */
const WINDOW_MS = 3_000;

const token = (sub, permissions = {}) => mintToken(SECRET, { sub, name: sub, room_id: ROOM, exp: expiresIn(600), permissions });

/** Runs in the page, before the app: a client that does not close its connections when it is removed. */
function keepConnections() {
  window.connections = [];
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      window.connections.push(this);
    }

    close() {}
  };
}

/** All packets that a page has received, of any stream. */
function packetsOf(peer) {
  return peer.page.evaluate(async () => {
    let packets = 0;
    for (const connection of window.connections) {
      for (const stats of (await connection.getStats()).values()) {
        if (stats.type === 'inbound-rtp') packets += stats.packetsReceived;
      }
    }
    return packets;
  });
}

let leat;
let browser;

before(async () => {
  leat = await Leat.start(['--secret', SECRET]);
  browser = await launch();
});

after(async () => {
  await browser?.close().finally(() => leat.stop());
});

test('the engine sends nothing to a removed participant whose client stays', TEST_LIMIT, async (t) => {
  const open = (name, permissions, before = []) =>
    Peer.open(browser, leat.url, { room: ROOM, name, token: token(name, permissions), needsClick: true, before });
  const ada = await open('Ada', { admin: true });
  const grace = await open('Grace');
  const mallory = await open('Mallory', {}, [[keepConnections]]);
  try {
    for (const peer of [ada, grace, mallory]) await peer.connected();
    await mallory.receives(['Ada', 'Grace']);
    const first = await packetsOf(mallory);
    await sleep(WINDOW_MS);
    const perSecond = ((await packetsOf(mallory)) - first) / (WINDOW_MS / 1_000);
    assert.ok(perSecond > 50, `${perSecond} packets/s before`);
    await ada.page.evaluate(async () => {
      const { store, call } = window.__leat;
      const { id } = store.getState().call.peers.find(({ name }) => name === 'Mallory');
      await call.admin.kick(id);
    });
    const atOnce = await packetsOf(mallory);
    const last = await stopsChanging('the number of packets', () => packetsOf(mallory));
    t.diagnostic(`${last - atOnce} packets after the answer, ${((last - atOnce) / perSecond) * 1_000} ms of the stream`);
    // What was on its way, and the age of the browser's statistics.
    assert.ok(last - atOnce < perSecond, `${last - atOnce} packets after the answer`);
    await until('the others stay', async () => (await ada.tiles()).join() === 'Grace');
    await ada.receives(['Grace']);
  } catch (error) {
    error.message += `\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await Promise.all([ada, grace, mallory].map((peer) => peer.close()));
  }
});
