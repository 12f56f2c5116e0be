// A call continues while Redis, PostgreSQL and NATS are away, each and all together, and further people join.
// LEAT_OUTAGE_SECONDS is the duration of each outage.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { LEAT_BIN, Leat } from './lib/leat.js';
import { launch, Peer, progress } from './lib/peers.js';
import { startNats, startPostgres, startRedis } from './lib/stores.js';
import { machineLoad, sleep, TEST_LIMIT, until } from './lib/wait.js';

const OUTAGE_MS = 1_000 * Number(process.env.LEAT_OUTAGE_SECONDS ?? 3);
const PASSWORD = 'correct horse battery staple';
const ROOM = 'harbour';

let stores;
let env;
let leat;
let browser;

before(async () => {
  const [redis, postgres, nats] = await Promise.all([startRedis(), startPostgres(), startNats()]);
  stores = { redis, postgres, nats };
  env = { LEAT_DATABASE: `postgres://leat@127.0.0.1:${postgres.port}/postgres` };
  const args = ['--redis', `redis://127.0.0.1:${redis.port}/`, '--nats', `nats://127.0.0.1:${nats.port}`, '--require-token'];
  leat = await Leat.start(args, null, env);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await leat?.stop();
  await Promise.all(Object.values(stores ?? {}).map((store) => store.remove()));
});

async function post(path, body, session) {
  const headers = { 'content-type': 'application/json', ...(session && { authorization: `Bearer ${session}` }) };
  const answer = await fetch(leat.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, ...(await answer.json()) };
}

const login = () => post('/api/v1/login', { user: 'ada', password: PASSWORD });

test('a call and further joins do not notice that Redis, PostgreSQL and NATS are away', TEST_LIMIT, async () => {
  const add = spawnSync(LEAT_BIN, ['users', 'add', 'ada', '--password-file', '-'], {
    env: { ...process.env, ...env },
    input: `${PASSWORD}\n`,
  });
  assert.equal(add.status, 0, String(add.stderr));
  let session;
  await until('a login', async () => {
    const answer = await login();
    session = answer.token;
    return answer.status === 200;
  });
  // A token of a user is for every device of the user.
  const { token } = await post('/api/v1/token', { room: ROOM }, session);
  const open = (name) => Peer.open(browser, leat.url, { room: ROOM, name, token, needsClick: true });
  const opened = [];
  try {
    const ada = await open('Ada');
    const grace = await open('Grace');
    opened.push(ada, grace);
    for (const peer of opened) await peer.connected();
    // The name in the token counts for both.
    const isComplete = async (peer) => {
      const rows = await peer.received();
      return (
        rows.some(({ kind, frames }) => kind === 'video' && frames > 0) &&
        rows.some(({ kind, packets }) => kind === 'audio' && packets > 0)
      );
    };
    for (const peer of opened) await until('picture and sound', () => isComplete(peer));
    for (const absent of [['redis'], ['postgres'], ['nats'], ['redis', 'postgres', 'nats']]) {
      const start = await Promise.all([ada, grace].map((peer) => peer.received()));
      for (const name of absent) await stores[name].stop(name === 'postgres' ? 'SIGINT' : 'SIGKILL');
      const hedy = await open('Hedy');
      opened.push(hedy);
      await hedy.connected();
      await until('picture and sound for the new participant', () => isComplete(hedy));
      const refused = await login();
      if (absent.includes('postgres')) assert.deepEqual([refused.status, refused.code], [503, 'STORE_UNAVAILABLE']);
      else assert.equal(refused.status, 200, JSON.stringify(refused));
      await sleep(OUTAGE_MS);
      await hedy.press('Leave the call');
      await hedy.close();
      opened.pop();
      for (const name of absent) await stores[name].start();
      await until('logins again', async () => [200, 429].includes((await login()).status));
      for (const [at, peer] of [ada, grace].entries()) {
        assert.equal(await peer.session(), 'Connected', absent.join());
        assert.equal(await peer.online(), true, absent.join());
        const rows = progress(start[at], await peer.received());
        const video = rows.find(({ kind }) => kind === 'video');
        assert.ok(video.frames > 15, `${absent}: ${video.frames} frames`);
        const lost = (await peer.history()).filter(({ what }) => /socket lost|joined again|media lost|Reconnecting/.test(what));
        assert.deepEqual(lost, [], absent.join());
      }
    }
  } catch (error) {
    error.message += `\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await Promise.all(opened.map((peer) => peer.close()));
  }
});
