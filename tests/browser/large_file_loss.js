// A file of half a gigabyte on a network that loses packets. `large_file.test.js` runs this file in a namespace.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { sendLargeFile } from './lib/large_file.js';

const LIMIT_MS = 50 * 60_000;

/** The datagrams that the namespace has dropped. */
function dropped() {
  const commands = existsSync('/proc/net/if_inet6') ? ['iptables', 'ip6tables'] : ['iptables'];
  const counts = commands.map((command) => {
    const rules = execFileSync(command, ['-L', 'INPUT', '-n', '-v', '-x'], { encoding: 'utf8' });
    return Number(/^\s*(\d+)\s+\d+\s+DROP/m.exec(rules)?.[1]);
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

test('a file of 500 MB', { timeout: LIMIT_MS }, async (t) => {
  const heard = await sendLargeFile(t, { size: 500_000_000, timeoutMs: LIMIT_MS });
  t.diagnostic(`${dropped()} datagrams were lost on purpose`);
  assert.ok(dropped() > 1_000, `${dropped()} datagrams were lost`);
  for (const [name, { packets, lost, concealed, samples }] of Object.entries(heard)) {
    // Audio is repaired, too: without a repair, two of a hundred packets are lost on both ways together.
    assert.ok(packets > 50 * lost, `${name} received ${packets} packets of audio, and ${lost} were lost`);
    assert.ok(concealed <= 0.1 * samples, `${concealed} of ${samples} samples at ${name} were concealed`);
  }
});
