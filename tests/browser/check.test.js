// The page /check against a real server: what works, and for each thing that does not, a sentence that says why.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { certificate } from './lib/certificate.js';
import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { serveApp } from './lib/previous.js';
import { expiresIn, mintToken } from './lib/token.js';
import { PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

/**
 * A page that `serveApp` serves comes from no address, and Chromium then blocks its WebSockets to loopback: the check
 * reports that, correctly.
 */
const SERVED = process.env.LEAT_APP !== undefined;
const ARGS = SERVED ? ['--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets'] : [];

/** A page of the check, with what it shows. */
class Check {
  page;

  static async open(browser, leat, { path = '/check', before = [] } = {}) {
    const check = new Check();
    const permissions = ['camera', 'microphone', 'clipboard-read', 'clipboard-write'];
    if (SERVED) permissions.push('local-network-access');
    const context = await browser.newContext({ permissions, viewport: { width: 900, height: 1000 } });
    check.page = await context.newPage();
    check.page.setDefaultTimeout(PATIENCE_MS);
    for (const script of before) await check.page.addInitScript(...script);
    if (SERVED) await serveApp(check.page, leat.url, process.env.LEAT_APP);
    await check.page.goto(leat.url + path);
    return check;
  }

  /** The verdict, when the check has ended. */
  async verdict() {
    const verdict = this.page.locator('[data-verdict]');
    await verdict.waitFor();
    return verdict.getAttribute('data-verdict');
  }

  /** By check: its state. */
  async states() {
    const rows = await this.page
      .locator('[data-check]')
      .evaluateAll((rows) => rows.map(({ dataset }) => [dataset.check, dataset.status]));
    return Object.fromEntries(rows);
  }

  sentence(name) {
    return this.page.locator(`[data-check="${name}"] .sentence`).textContent();
  }

  async screenshot(file) {
    await Peer.prototype.screenshot.call(this, file);
  }
}

/** Runs `body` with a server and a browser. */
async function withCheck({ args, browserArgs = [] }, body) {
  const leat = await Leat.start(args);
  const browser = await launch({ args: [...ARGS, ...browserArgs] });
  try {
    await body({ leat, browser });
  } catch (error) {
    throw new Error(`${error.stack}\n--- leat up\n${leat.log}`);
  } finally {
    await browser.close().finally(() => leat.stop());
  }
}

/** Runs in the page, before the app: every packet to a UDP address of the server goes to a port where nothing listens. */
function misdirectUdp(port) {
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const other = sdp.replace(/^(a=candidate:\S+ \d+ udp \d+ \S+) \d+/gim, `$1 ${port}`);
    return setRemoteDescription.call(this, { type, sdp: other });
  };
}

const WORKS = { signaling: 'ok', room: 'ok', udp: 'ok', tcp: 'ok', turnUdp: 'ok', turnTcp: 'ok', microphone: 'ok', camera: 'ok' };

test('a server where everything works; the report is copied as a text and as JSON', TEST_LIMIT, async () => {
  const tls = certificate();
  try {
    await withCheck({ args: tls.args, browserArgs: tls.browserArgs }, async ({ leat, browser }) => {
      const check = await Check.open(browser, leat);
      assert.equal(await check.verdict(), 'good');
      assert.deepEqual(await check.states(), { ...WORKS, turnTls: 'ok' });
      assert.match(await check.sentence('udp'), /^\d+ ms$/);
      await check.screenshot('check.png');

      const copied = () => check.page.evaluate(() => navigator.clipboard.readText());
      await check.page.getByRole('button', { name: 'Copy as text' }).click();
      await until('the text is copied', async () => (await copied()).includes('Calls work: media goes over UDP.'));
      assert.match(await copied(), /Media over UDP: works\. \d+ ms \(udp /);
      await check.page.getByRole('button', { name: 'Copy as JSON' }).click();
      await until('JSON is copied', async () => (await copied()).startsWith('{'));
      const { verdict, results, server } = JSON.parse(await copied());
      assert.equal(verdict, 'good');
      assert.equal(server, leat.url);
      assert.deepEqual(
        results.map(({ status }) => status),
        Array(9).fill('ok'),
      );
    });
  } finally {
    rmSync(tls.folder, { recursive: true, force: true });
  }
});

test('UDP that does not arrive: calls work over TCP', TEST_LIMIT, async () => {
  await withCheck({}, async ({ leat, browser }) => {
    // The port after those of this server.
    const check = await Check.open(browser, leat, { before: [[misdirectUdp, leat.turnTlsPort]] });
    assert.equal(await check.verdict(), 'tcpOnly');
    const { udp, tcp, turnUdp, turnTcp, turnTls } = await check.states();
    // The relay has the wrong port of the engine as well.
    assert.deepEqual(
      { udp, tcp, turnUdp, turnTcp, turnTls },
      {
        udp: 'failed',
        tcp: 'ok',
        turnUdp: 'failed',
        turnTcp: 'failed',
        turnTls: 'skipped',
      },
    );
    assert.match(await check.sentence('udp'), /^UDP is blocked/);
    assert.match(await check.sentence('turnUdp'), /does not reach the media engine/);
    assert.match(await check.sentence('turnTls'), /^The server gives no TURN server for TLS/);
    await check.screenshot('check-no-udp.png');
  });
});

test('a server without UDP and without TURN, and a computer without a camera', TEST_LIMIT, async () => {
  const args = ['--no-udp-candidates', '--turn-port', '0'];
  await withCheck({ args, browserArgs: ['--use-fake-device-for-media-stream=device-count=0'] }, async ({ leat, browser }) => {
    const check = await Check.open(browser, leat);
    assert.equal(await check.verdict(), 'tcpOnly');
    assert.deepEqual(await check.states(), {
      ...WORKS,
      udp: 'skipped',
      turnUdp: 'skipped',
      turnTcp: 'skipped',
      turnTls: 'skipped',
      camera: 'failed',
    });
    assert.match(await check.sentence('udp'), /^The server offers no UDP/);
    assert.match(await check.sentence('turnTcp'), /^The server gives no TURN server for TCP/);
    assert.match(await check.sentence('camera'), /^No camera was found/);
  });
});

test('a server that needs a token, and one that does not answer', TEST_LIMIT, async () => {
  const secret = 'a secret that is long enough for HS256';
  await withCheck({ args: ['--secret', secret] }, async ({ leat, browser }) => {
    const check = await Check.open(browser, leat);
    assert.equal(await check.verdict(), 'notJoined');
    const { signaling, room, udp } = await check.states();
    assert.deepEqual({ signaling, room, udp }, { signaling: 'ok', room: 'failed', udp: 'skipped' });
    assert.match(await check.sentence('room'), /^The server needs a valid token/);

    await check.page.getByLabel('Token').fill(mintToken(secret, { sub: 'ada', room: 'millpond', exp: expiresIn(600) }));
    await check.page.getByLabel('Room').fill('millpond');
    await check.page.getByRole('button', { name: 'Check again' }).click();
    await check.page.locator('[data-verdict="good"]').waitFor();

    // The supervisor must not start it again.
    leat.pause();
    try {
      leat.crash('leat-signaling');
      await check.page.getByRole('button', { name: 'Check again' }).click();
      await check.page.locator('[data-verdict="noSignaling"]').waitFor();
      assert.match(await check.sentence('signaling'), /^The server does not answer/);
    } finally {
      leat.resume();
    }
  });
});
