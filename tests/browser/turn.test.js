// Where nothing but the TURN server can be reached: calls through relays (RFC 8656), over each way there.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { progress, streamsIn, streamsOf } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { sleep } from './lib/wait.js';

const names = ['Ada', 'Grace'];

/** Runs in the page, before the app: the browser takes no candidates but relayed ones, from the URLs that `pattern` matches. */
function relayOnly(pattern) {
  const Real = RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor({ iceServers = [], ...rest } = {}) {
      const only = iceServers.map((server) => ({
        ...server,
        urls: [server.urls].flat().filter((url) => new RegExp(pattern).test(url)),
      }));
      super({ ...rest, iceServers: only, iceTransportPolicy: 'relay' });
    }
  };
}

/** A certificate of our own making, and its key: Chromium is told to take it. */
function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'leat-turn-'));
  const [cert, key] = ['cert.pem', 'key.pem'].map((file) => join(folder, file));
  const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'];
  execFileSync('openssl', [...make, '-keyout', key, '-out', cert, ...names], { stdio: 'ignore' });
  const args = ['--turn-certificate', cert, '--turn-private-key', key];
  return { folder, args, browserArgs: ['--ignore-certificate-errors'] };
}

const ways = [
  { name: 'UDP', protocol: 'udp', pattern: '^turn:.*transport=udp$' },
  { name: 'TCP', protocol: 'tcp', pattern: '^turn:.*transport=tcp$' },
  { name: 'TLS', protocol: 'tls', pattern: '^turns:' },
];

for (const { name: way, protocol, pattern } of ways) {
  test(`a call of two through relays reached over ${way}`, { timeout: 120_000 }, async (t) => {
    const tls = way === 'TLS' ? certificate() : null;
    try {
      await inRoom(
        t,
        { names, args: tls?.args, browserArgs: tls?.browserArgs, before: [[relayOnly, pattern]] },
        async ({ peers, step }) => {
          await step('both are reached through the relay alone', async () => {
            for (const peer of peers) {
              const pairs = (await peer.pairs()).map(({ direction, type, relay }) => `${direction} ${type} ${relay}`);
              assert.deepEqual(pairs.sort(), [`recv relay ${protocol}`, `send relay ${protocol}`], peer.name);
            }
          });

          await step('each sees and hears the other for five seconds', async () => {
            const before = await Promise.all(peers.map((peer) => peer.received()));
            await sleep(5_000);
            for (const [index, peer] of peers.entries()) {
              const streams = progress(before[index], await peer.received());
              assert.deepEqual(
                streamsIn(streams),
                streamsOf(names.filter((name) => name !== peer.name)),
                `streams at ${peer.name}`,
              );
              for (const { from, kind, frames, energy } of streams) {
                const what = `${kind} of ${from} at ${peer.name}`;
                // 15 a second are captured; two thirds leave room for a busy machine and none for a stopped stream.
                if (kind === 'video') assert.ok(frames >= 50, `${what}: ${frames} frames in 5 s`);
                else assert.ok(energy > 0, `${what}: no sound in 5 s`);
              }
            }
          });
        },
      );
    } finally {
      if (tls) rmSync(tls.folder, { recursive: true, force: true });
    }
  });
}
