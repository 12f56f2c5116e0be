// Tests of Firefox without the TURN server, in a network namespace: Firefox uses only addresses other than loopback,
// on an interface with a default route.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { TEST_LIMIT } from './lib/wait.js';

const IP = '10.9.0.1';

/** `$1` is the address, the others are the command. Nothing leaves the namespace: the other end of the link has no address. */
const NAMESPACE = `
  ip link set lo up
  ip link add inner type veth peer name outer
  ip addr add "$1/24" dev inner
  ip link set inner up
  ip link set outer up
  ip route add default via 10.9.0.2 dev inner
  shift
  exec "$@"
`;

/** Runs the tests of a file there. */
async function passes(t, file) {
  const command = [process.execPath, '--test', '--test-reporter=tap', file];
  const env = { ...process.env, LEAT_DIRECT_IP: IP };
  // Set by the runner of this file: with it, the inner run would report to the outer one.
  delete env.NODE_TEST_CONTEXT;
  const inner = spawn('unshare', ['--net', 'sh', '-euc', NAMESPACE, 'sh', IP, ...command], { env, cwd: import.meta.dirname });
  let output = '';
  for (const stream of [inner.stdout, inner.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [code] = await once(inner, 'close');
  assert.equal(code, 0, output);
  const passed = Number(/^# pass (\d+)$/m.exec(output)?.[1]);
  assert.ok(passed >= 5, output);
  for (const [, number, name] of output.matchAll(/^ok (\d+) - (.*)$/gm)) t.diagnostic(`${number}: ${name}`);
}

test('Firefox publishes and plays over a direct path', TEST_LIMIT, (t) => passes(t, 'firefox_whip.test.js'));

test('Firefox with the block of the SDP flow publishes and plays', TEST_LIMIT, (t) => passes(t, 'firefox_sdp.js'));
