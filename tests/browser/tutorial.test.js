// docs/tutorial.md: its blocks of code, written to files and run as on the page, make an application in which
// two users call each other.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { LOOPBACK, LOOPBACK_HOST } from './lib/family.js';
import { freeTcpPort, Leat, ROOT } from './lib/leat.js';
import { CAPTURE, constrainCamera, launch } from './lib/peers.js';
import { buildSdk } from './lib/sdk.js';
import { machineLoad, PATIENCE_MS, stopsChanging, TEST_LIMIT, until } from './lib/wait.js';

/** The blocks of the page by the file name behind the language. Blocks with the same name are one file. */
function filesOf(page) {
  const files = new Map();
  for (const [, name, code] of page.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```$/gm)) {
    files.set(name, [files.get(name), code].filter(Boolean).join('\n'));
  }
  return files;
}

const page = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
const files = filesOf(page);
const blockOf = (name) => {
  const code = files.get(name);
  assert.ok(code, `the tutorial has no block ${name}`);
  return code;
};

/** The words of a block with one command. */
const wordsOf = (name) => blockOf(name).trim().split(/\s+/);

/** The application: its folder, its process, and what it printed. */
class Application {
  #folder = mkdtempSync(join(tmpdir(), 'leat-tutorial-'));
  #process;
  log = '';

  constructor() {
    for (const [name, code] of files) {
      if (name.endsWith('.sh')) continue;
      mkdirSync(dirname(join(this.#folder, name)), { recursive: true });
      writeFileSync(join(this.#folder, name), code);
    }
  }

  /** The last command of the block; the packages are installed already. */
  buildSdk() {
    const lines = blockOf('sdk.sh').trim().split('\n');
    assert.deepEqual(lines.slice(0, -1), ['cd signaling/web', 'npm ci']);
    writeFileSync(join(this.#folder, 'public/leat.js'), buildSdk(lines.at(-1)));
  }

  async start({ id, secret, port, leatUrl }) {
    const values = { ID: id, SECRET: secret };
    const words = wordsOf('start.sh');
    const settings = words.filter((word) => word.includes('=')).map((word) => word.split('='));
    const [command, ...args] = words.slice(settings.length);
    const given = Object.fromEntries(settings.map(([name, value]) => [name, values[value]]));
    const env = { ...process.env, ...given, HOST: LOOPBACK, PORT: String(port), LEAT_URL: leatUrl };
    this.#process = spawn(command, args, { cwd: this.#folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.log += text;
      });
    }
    await until('the application answers over HTTP', async () => {
      assert.equal(this.#process.exitCode, null, this.log);
      return (await fetch(`http://${LOOPBACK_HOST}:${port}`).catch(() => null))?.ok ?? false;
    });
  }

  async stop() {
    if (this.#process !== undefined && this.#process.exitCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill();
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Runs in the page, before its scripts: keeps the connections, so that the test can read their statistics. */
function keepConnections() {
  const Real = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      window.connections.push(this);
    }
  };
}

/** A user of the application in a browser. */
class User {
  page;
  errors = [];

  static async open(browser, origin) {
    const user = new User();
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
    user.page = await context.newPage();
    user.page.setDefaultTimeout(PATIENCE_MS);
    user.page.on('pageerror', (error) => user.errors.push(error.message));
    await user.page.addInitScript(constrainCamera, CAPTURE);
    await user.page.addInitScript(keepConnections);
    await user.page.goto(origin);
    return user;
  }

  async logIn(name, password) {
    await this.page.getByPlaceholder('User').fill(name);
    await this.page.getByPlaceholder('Password').fill(password);
    await this.press('Log in');
  }

  press(label) {
    return this.page.getByRole('button', { name: label, exact: true }).click();
  }

  message() {
    return this.page.locator('#message').textContent();
  }

  /** What the page shows of the others: their names, with "(muted)". */
  others() {
    return this.page.locator('#people .name').allTextContents();
  }

  /** Frames of video decoded, and packets of audio received, of all others together. */
  received() {
    return this.page.evaluate(async () => {
      const sum = { frames: 0, packets: 0 };
      for (const connection of window.connections) {
        for (const stats of (await connection.getStats()).values()) {
          if (stats.type !== 'inbound-rtp') continue;
          if (stats.kind === 'video') sum.frames += stats.framesDecoded;
          else sum.packets += stats.packetsReceived;
        }
      }
      return sum;
    });
  }

  /** The picture of the other in the page, as the user sees it. */
  shownFrames() {
    return this.page.locator('#people video').evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
  }
}

let leat;
let browser;
let origin;
const application = new Application();

/** A user of the application needs longer than Leat to read the new key from its database. */
async function isKeyAccepted() {
  const post = (url, headers, body) => fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  const login = await post(`${origin}/login`, {}, { user: 'grace', password: 'compiler' });
  const cookie = login.headers.get('Set-Cookie').split(';')[0];
  const { token } = await (await post(`${origin}/call-token`, { cookie }, { room: 'lobby' })).json();
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  return (await post(`${leat.url}/graphql`, headers, { query: '{ room(id: "lobby") { participantCount } }' })).ok;
}

before(async () => {
  application.buildSdk();
  const port = await freeTcpPort();
  origin = `http://${LOOPBACK_HOST}:${port}`;
  const [command, up, ...args] = wordsOf('leat.sh');
  assert.deepEqual([command, up], ['leat', 'up']);
  assert.ok(args.includes('http://localhost:3000'), 'the origin of the application');
  leat = await Leat.start(args.map((arg) => (arg === 'http://localhost:3000' ? origin : arg)));
  const key = leat.shell(blockOf('key.sh'));
  const [id, secret] = ['id', 'secret'].map((name) => new RegExp(`^${name}: (\\S+)$`, 'm').exec(key)?.[1]);
  await application.start({ id, secret, port, leatUrl: leat.url });
  await until('Leat accepts the key', isKeyAccepted);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await application.stop();
  await leat?.stop();
});

/** Opens the users of the tutorial, in a call with each other. */
async function inCall(body) {
  const users = [];
  try {
    for (const [name, password] of [
      ['ada', 'analytical'],
      ['grace', 'compiler'],
    ]) {
      const user = await User.open(browser, origin);
      users.push(user);
      await user.logIn(name, password);
      await user.press('Join');
    }
    const [ada, grace] = users;
    await until('Ada sees Grace', async () => (await ada.others()).join() === 'Grace Hopper');
    await until('Grace sees Ada', async () => (await grace.others()).join() === 'Ada Lovelace');
    await body({ ada, grace });
    for (const { errors } of users) assert.deepEqual(errors, [], 'uncaught in a page');
  } catch (error) {
    const messages = await Promise.all(users.map((user) => user.message().catch(() => '')));
    error.message += `\n--- pages\n${messages.join('\n')}\n--- application\n${application.log}\n--- leat up\n${leat.log}\n--- machine\n${machineLoad()}`;
    throw error;
  } finally {
    await Promise.all(users.map(({ page }) => page.context().close()));
  }
}

async function seeAndHear(user, who) {
  const start = await user.received();
  const shown = await user.shownFrames();
  await until(`${who} decodes 30 frames and gets 50 packets of audio`, async () => {
    const now = await user.received();
    return now.frames - start.frames >= 30 && now.packets - start.packets >= 50;
  });
  await until(`${who} shows the picture`, async () => (await user.shownFrames()) - shown >= 10);
}

test('every block of the tutorial is in use', () => {
  const used = ['key.sh', 'leat.sh', 'login.sh', 'sdk.sh', 'start.sh', 'package.json', 'server.js', 'token.js'];
  assert.deepEqual([...files.keys()].sort(), [...used, 'public/call.js', 'public/index.html'].sort());
  const unnamed = [...page.matchAll(/^```(\S+)$/gm)].map(([, language]) => language);
  assert.deepEqual(unnamed, ['mermaid'], 'blocks without a file name do not run');
});

test('two users see and hear each other, mute and leave', TEST_LIMIT, async () => {
  await inCall(async ({ ada, grace }) => {
    await seeAndHear(ada, 'Ada');
    await seeAndHear(grace, 'Grace');
    assert.match(await ada.page.locator('#state').textContent(), /Ada Lovelace/);
    assert.equal(await ada.page.locator('#people .presence').textContent(), 'active');

    await ada.press('Mute');
    await until('Grace sees that Ada is muted', async () => (await grace.others()).join() === 'Ada Lovelace (muted)');
    await stopsChanging('the audio at Grace', async () => (await grace.received()).packets);
    await ada.press('Unmute');
    await until('Grace sees that Ada is not muted', async () => (await grace.others()).join() === 'Ada Lovelace');
    await seeAndHear(grace, 'Grace');

    await grace.press('Leave');
    await until('Ada is alone', async () => (await ada.others()).length === 0);
    assert.equal(await grace.message(), '');
    await grace.press('Join');
    await until('Grace is back', async () => (await ada.others()).join() === 'Grace Hopper');
    await seeAndHear(ada, 'Ada');
  });
});

test('an administrator removes a person, who sees the reason', TEST_LIMIT, async () => {
  await inCall(async ({ ada, grace }) => {
    assert.equal(await grace.page.getByRole('button', { name: 'Remove' }).count(), 0, 'Grace is no administrator');
    await ada.press('Remove');
    await until('Grace sees the reason', async () => (await grace.message()) === 'The host removed you.');
    await until('Ada is alone', async () => (await ada.others()).length === 0);
    await grace.page.getByRole('button', { name: 'Join' }).and(grace.page.locator(':enabled')).waitFor();
  });
});

test('wrong users, rooms and tokens are refused with a sentence', TEST_LIMIT, async () => {
  const mallory = await User.open(browser, origin);
  try {
    await mallory.logIn('mallory', 'guess');
    await until('a sentence', async () => (await mallory.message()) === 'Wrong user or password.');
    const statuses = await mallory.page.evaluate(async () => {
      const post = async (path, body) => (await fetch(path, { method: 'POST', body: JSON.stringify(body) })).status;
      const login = await post('/login', { user: 'nobody' });
      const early = await post('/call-token', { room: 'lobby' });
      await post('/login', { user: 'grace', password: 'compiler' });
      return [login, early, await post('/call-token', { room: 'vault' }), await post('/call-token', { room: 'lobby' })];
    });
    assert.deepEqual(statuses, [401, 401, 403, 200]);

    // The session has ended: there is no token.
    await mallory.logIn('grace', 'compiler');
    await until('the page of the call', () => mallory.page.locator('#call').isVisible());
    await mallory.page.context().clearCookies();
    await mallory.press('Join');
    await until('the sentence of the application', async () => (await mallory.message()) === 'Log in first.');

    // A token that Leat refuses: of a server with another secret.
    await mallory.page.reload();
    await mallory.page.route('**/call-token', async (route) => {
      const response = await route.fetch();
      const { token, ...rest } = await response.json();
      await route.fulfill({ json: { ...rest, token: `${token.slice(0, token.lastIndexOf('.'))}.AAAA` } });
    });
    await mallory.logIn('grace', 'compiler');
    await mallory.press('Join');
    await until('the reason', async () => /key|signature|signed/i.test(await mallory.message()));
    assert.deepEqual(mallory.errors, []);
  } finally {
    await mallory.page.context().close();
  }
});

test('a user of Leat logs in and gets a token that admits to the room', TEST_LIMIT, async () => {
  const script = blockOf('login.sh');
  assert.ok(script.includes('http://localhost:7080'), 'the address of Leat');
  const { token, room } = JSON.parse(leat.shell(script.replaceAll('http://localhost:7080', leat.url)));
  assert.equal(room, 'lobby');
  const katherine = await User.open(browser, origin);
  try {
    const name = await katherine.page.evaluate(
      async ({ url, room, token }) => {
        const { Call } = await import('/leat.js');
        return new Promise((resolve, reject) => {
          const onView = ({ online, displayName, failure }) => (failure ? reject(failure) : online && resolve(displayName));
          new Call({ url, room, token }, { onView, onNotice: () => undefined }).join();
        });
      },
      { url: leat.url, room, token },
    );
    assert.equal(name, 'katherine');
  } finally {
    await katherine.page.context().close();
  }
});
