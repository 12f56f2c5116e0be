// A server with a key: a client without a valid token gets the reason, as text in the page and as a code; a
// client with one may do what the token permits.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SignalClient } from './lib/client.js';
import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { expiresIn, mintToken } from './lib/token.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

const SECRET = 'a secret that is used in these tests only';
const ROOM = 'millpond';

function token({ alg = 'HS256', secret = SECRET, sub = 'ada', room = ROOM, expiresInS = 600, permissions, name } = {}) {
  return mintToken(secret, { sub, name, room, exp: expiresIn(expiresInS), permissions }, alg);
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

const refused = [
  ['no token', undefined, 'TOKEN_MISSING'],
  ['a string that is no token', 'open sesame', 'TOKEN_MALFORMED'],
  ['an unsigned token', token({ alg: 'none' }), 'TOKEN_ALGORITHM'],
  ['a token signed with another key', token({ secret: 'another secret, just as long as the first' }), 'TOKEN_SIGNATURE'],
  ['a token of yesterday', token({ expiresInS: -86_400 }), 'TOKEN_EXPIRED'],
  ['a token for another room', token({ room: 'mill-race' }), 'TOKEN_ROOM'],
];

test('a token without canPublish allows watching and listening', TEST_LIMIT, async () => {
  const room = 'lecture';
  const ada = await Peer.open(browser, leat.url, { room, name: 'Ada', token: token({ room }), needsClick: true });
  const grace = await Peer.open(browser, leat.url, {
    room,
    name: 'Grace',
    token: token({ room, permissions: { canPublish: false } }),
    needsClick: true,
  });
  try {
    for (const peer of [ada, grace]) await peer.connected();
    await grace.receives(['Ada']);
    await grace.page.getByText('You may not send your camera in this room.').waitFor();
    await ada.tileOf('Grace').waitFor();
    assert.deepEqual(await ada.received(), [], 'streams of a peer that may not send');
    const { length } = (await grace.history()).filter(({ what }) => what.startsWith('send '));
    assert.equal(length, 2, 'one refusal for the camera and one for the microphone');
  } catch (error) {
    error.message += `\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await Promise.all([ada.close(), grace.close()]);
  }
});

test('a link with a token joins after a click only, and the token leaves the address bar', TEST_LIMIT, async () => {
  const room = 'studio';
  // The camera is allowed already, as if the browser remembered the permission.
  const ada = await Peer.open(browser, leat.url, { room, name: 'Mallory', token: token({ room, name: 'Ada Lovelace' }) });
  try {
    await ada.page.getByRole('heading', { name: 'Join a room' }).waitFor();
    await until('the preview shows the camera', () => ada.page.locator('.preview video').isVisible());
    assert.equal(await ada.session(), null, 'in a call without a click');
    const address = new URL(ada.page.url());
    assert.equal(address.hash, '', 'the token is in the address bar');
    assert.equal(address.searchParams.get('room'), room);
    // A reload of this tab keeps the token.
    await ada.page.reload();
    await ada.press('Join');
    await ada.connected();
    const shown = () => ada.page.evaluate(() => window.__leat.store.getState().call?.displayName);
    assert.equal(await shown(), 'Ada Lovelace', 'the signed name counts, not the typed one');
  } finally {
    await ada.close();
  }
});

/** Runs in the page: a call that asks the test for tokens, beside the app. */
async function callWithTokens(room) {
  const events = {
    onView: (view) => {
      window.view = view;
    },
    onNotice: () => undefined,
  };
  window.longCall = new window.__leat.Call({ room, displayName: 'Ada', token: () => window.mint() }, events);
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  window.longCall.setSource('camera', stream.getVideoTracks()[0]);
  window.longCall.join();
}

// At the same time: the first one waits for half a minute.
describe('tokens that have ended, and others that are refused', { concurrency: 2 }, () => {
  test('a call goes on and returns after its first token has ended', TEST_LIMIT, async () => {
    const room = 'marathon';
    // Its processes are killed.
    const leat = await Leat.start(['--secret', SECRET]);
    const grace = await Peer.open(browser, leat.url, {
      room,
      name: 'Grace',
      token: token({ room, sub: 'grace', name: 'Grace' }),
      needsClick: true,
    });
    const ada = await Peer.open(browser, leat.url, { room, name: 'Ada', token: token({ room }) });
    const tokens = [];
    const view = () => ada.page.evaluate(() => ({ online: window.view.online, failure: window.view.failure?.message }));
    const frames = async () => (await grace.stream('Ada', 'video'))?.frames ?? 0;
    const seen = async (what) => {
      const before = await frames();
      await until(what, async () => (await frames()) > before + 20);
    };
    try {
      await ada.page.exposeFunction('mint', () => {
        tokens.push(token({ room, name: 'Ada', expiresInS: 4 }));
        return tokens.at(-1);
      });
      await ada.page.evaluate(callWithTokens, room);
      await grace.connected();
      await until('Grace sees Ada', async () => (await frames()) > 0);
      const [first] = tokens;
      const admitted = async () => {
        const client = await SignalClient.join(leat.url, room, 'Mallory', first).catch((error) => error.message);
        if (typeof client === 'string') return client;
        await client.request('leave', {});
        client.close();
        return '';
      };
      assert.equal(await admitted(), '', 'a new client with the first token');
      // The server accepts a token for half a minute after its end, because clocks may differ.
      await until('the first token admits no more', async () => /expired/.test(await admitted()), { everyMs: 2_000 });
      await seen('Grace sees Ada after the end of the first token');
      assert.deepEqual(await view(), { online: true, failure: undefined });
      assert.ok(tokens.length > 5, `${tokens.length} tokens in half a minute`);

      const isJoin = ({ what }) => what.startsWith('joined');
      const joins = async () => [
        (await ada.page.evaluate(() => window.longCall.history)).filter(isJoin).length,
        (await grace.history()).filter(isJoin).length,
      ];
      const before = await joins();
      // Neither process remembers Ada: only a valid token lets her in.
      for (const name of ['leat-engine', 'leat-signaling']) leat.crash(name);
      await until('both have joined again', async () => (await joins()).every((count, peer) => count > before[peer]));
      await until('Grace sees Ada again', async () => (await frames()) > 0);
      await seen('Ada sends to Grace after the return');
      assert.match(await admitted(), /expired/);
    } catch (error) {
      const history = await ada.page.evaluate(() => window.longCall?.history.map(({ what }) => what)).catch(() => []);
      error.message += `\n--- Ada\n${history.join('\n')}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
      throw error;
    } finally {
      await Promise.all([ada.close(), grace.close()]).finally(() => leat.stop());
    }
  });

  for (const [what, jwt, code] of refused) {
    test(`${what} is refused as ${code}`, TEST_LIMIT, async () => {
      const ada = await Peer.open(browser, leat.url, { room: ROOM, name: 'Ada', token: jwt, needsClick: true });
      try {
        const alert = ada.page.getByRole('alert');
        await alert.waitFor();
        assert.equal(await alert.getAttribute('data-code'), code);
        assert.notEqual((await alert.textContent()).trim(), '');
        // The page asks for another token, and a valid one is enough.
        await ada.page.getByLabel('Token').fill(token());
        await ada.press('Join');
        await ada.connected();
      } catch (error) {
        error.message += `\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
        throw error;
      } finally {
        await ada.close();
      }
    });
  }
});
