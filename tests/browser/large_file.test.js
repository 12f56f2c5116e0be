// A large file during a call, over an ICE restart, and over a network that loses packets. A transfer must neither
// disturb the audio nor fill the memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sendLargeFile } from './lib/large_file.js';
import { passesInNamespace } from './lib/namespace.js';
import { rounds } from './lib/rounds.js';
import { TEST_LIMIT } from './lib/wait.js';

const MINUTE = 60_000;
/** Of the samples of a participant's audio. A busy machine conceals some without any loss. */
const CONCEALED_MAX = 0.05;

test('a file of 64 MB arrives over an ICE restart, and the audio is not disturbed', TEST_LIMIT, async (t) => {
  const heard = await sendLargeFile(t, { size: 64_000_000, timeoutMs: 5 * MINUTE });
  for (const [name, { packets, lost, concealed, samples }] of Object.entries(heard)) {
    assert.ok(packets > 100, `${name} received ${packets} packets of audio`);
    assert.ok(lost <= 5, `${lost} packets of audio at ${name} were lost on loopback`);
    assert.ok(concealed <= CONCEALED_MAX * samples, `${concealed} of ${samples} samples at ${name} were concealed`);
  }
});

/** One datagram in a hundred is lost, of each address family. */
const LOSS = `
  for command in iptables ip6tables; do
    if [ "$command" = ip6tables ] && [ ! -e /proc/net/if_inet6 ]; then continue; fi
    "$command" -A INPUT -i lo -p udp -m statistic --mode random --probability 0.01 -j DROP
  done
`;

const long = rounds({ few: false, many: true });

test('a file of 500 MB arrives although 1 % of the packets are lost', { timeout: 60 * MINUTE, skip: !long }, (t) =>
  passesInNamespace(t, 'large_file_loss.js', { setup: LOSS, least: 1 }),
);
