// A file of half a gigabyte on a network that loses packets. `large_file.test.js` runs this file in a namespace.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sendLargeFile } from './lib/large_file.js';

const LIMIT_MS = 50 * 60_000;

test('a file of 500 MB', { timeout: LIMIT_MS }, async (t) => {
  const heard = await sendLargeFile(t, { size: 500_000_000, timeoutMs: LIMIT_MS });
  for (const [name, { packets, lost, concealed, samples }] of Object.entries(heard)) {
    assert.ok(lost > 0, `the network lost no packet of audio to ${name}`);
    assert.ok(packets > 20 * lost, `${name} received ${packets} packets of audio, and ${lost} were lost`);
    // Each lost packet conceals its 20 ms at most twice, once on the way to the server and once on the way from it.
    assert.ok(concealed <= 0.1 * samples, `${concealed} of ${samples} samples at ${name} were concealed`);
  }
});
