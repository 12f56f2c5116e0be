// Calls through relays (RFC 8656) where only the TURN server is reachable, over each of its protocols.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { certificate } from './lib/certificate.js';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT } from './lib/wait.js';

const names = ['Ada', 'Grace'];

/**
 * Runs in the page, before the app: the browser uses only relayed candidates, from the URLs that `pattern`
 * matches.
 */
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

const ways = [
  { name: 'UDP', protocol: 'udp', pattern: '^turn:.*transport=udp$' },
  { name: 'TCP', protocol: 'tcp', pattern: '^turn:.*transport=tcp$' },
  { name: 'TLS', protocol: 'tls', pattern: '^turns:' },
];

for (const { name: way, protocol, pattern } of ways) {
  test(`a call of two through relays reached over ${way}`, TEST_LIMIT, async (t) => {
    const tls = way === 'TLS' ? certificate() : null;
    try {
      await inRoom(
        t,
        { names, args: tls?.args, browserArgs: tls?.browserArgs, before: [[relayOnly, pattern]] },
        async ({ peers, step }) => {
          await step('both are reached through the relay only', async () => {
            for (const peer of peers) {
              const pairs = (await peer.pairs()).map(({ direction, type, relay }) => `${direction} ${type} ${relay}`);
              assert.deepEqual(pairs.sort(), [`recv relay ${protocol}`, `send relay ${protocol}`], peer.name);
            }
          });

          await step('each sees and hears the other', () => seeAndHear(peers, { frames: 50, lostMax: Number.POSITIVE_INFINITY }));
        },
      );
    } finally {
      if (tls) rmSync(tls.folder, { recursive: true, force: true });
    }
  });
}
