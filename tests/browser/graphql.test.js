// The presence of a browser in a GraphQL subscription of the client `graphql-ws`, which implements
// graphql-transport-ws without our code.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { expiresIn, mintToken } from './lib/token.js';
import { machineLoad, TEST_LIMIT, until } from './lib/wait.js';

const SECRET = 'a secret that is used in these tests only';
const ROOM = 'millpond';
const WATCH = `subscription { presence(roomId: "${ROOM}") { userId state timestamp } }`;

const token = (user, room = ROOM) => mintToken(SECRET, { sub: user, room_id: room, exp: expiresIn(600) });

let leat;
let browser;

before(async () => {
  leat = await Leat.start(['--secret', SECRET]);
  browser = await launch();
});

after(async () => {
  await browser?.close().finally(() => leat.stop());
});

function connect(jwt) {
  return createClient({
    url: `${leat.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${jwt}` },
    retryAttempts: 0,
    lazy: true,
  });
}

/** The results of a subscription, as they arrive, and how it ended. */
function subscribe(client, query) {
  const watch = { events: [], end: null };
  watch.stop = client.subscribe(
    { query },
    {
      next: ({ data }) => watch.events.push(data.presence),
      error: (error) => {
        watch.end = error;
      },
      complete: () => {
        watch.end = 'complete';
      },
    },
  );
  return watch;
}

test('graphql-ws gets ACTIVE when a page joins, and AWAY when it leaves', TEST_LIMIT, async () => {
  const client = connect(token('watcher'));
  const watch = subscribe(client, WATCH);
  const states = () => watch.events.map(({ userId, state }) => `${userId} ${state}`);
  let ada;
  try {
    ada = await Peer.open(browser, leat.url, { room: ROOM, name: 'Ada', token: token('ada'), needsClick: true });
    await ada.connected();
    await until('Ada is ACTIVE', () => watch.events.length > 0);
    assert.deepEqual(states(), ['ada ACTIVE']);
    assert.ok(Math.abs(Date.parse(watch.events[0].timestamp) - Date.now()) < TEST_LIMIT.timeout);
    await ada.close();
    ada = null;
    await until('Ada is AWAY', () => states().at(-1) === 'ada AWAY');
    assert.deepEqual(states(), ['ada ACTIVE', 'ada AWAY']);
    // The same WebSocket answers a query, which then completes.
    const query = subscribe(client, `{ presence(roomId: "${ROOM}") { userId } }`);
    await until('the query is complete', () => query.end === 'complete');
    assert.deepEqual(query.events, [[]]);
    watch.stop();
    await until('the subscription is complete', () => watch.end === 'complete');
  } catch (error) {
    error.message += `\n--- events\n${states()}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await client.dispose();
    await ada?.close();
  }
});

test('graphql-ws gets the reason when a subscription or a token is refused', TEST_LIMIT, async () => {
  const other = connect(token('watcher', 'mill-race'));
  const expired = connect('open sesame');
  try {
    const room = subscribe(other, WATCH);
    await until('the room is refused', () => room.end !== null);
    assert.equal(room.end[0].extensions.code, 'TOKEN_ROOM');
    const refused = subscribe(expired, WATCH);
    await until('the token is refused', () => refused.end !== null);
    assert.equal(refused.end.code, 4403);
  } finally {
    await Promise.all([other.dispose(), expired.dispose()]);
  }
});
