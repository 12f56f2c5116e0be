// Tests in a network namespace of their own: a test file that a test of another file starts.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const BROWSER = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Runs the tests of a file. `setup` are shell commands that run in the namespace before, with root's rights there.
 * `least` is the number of tests that must pass. What the inner tests print as diagnostics is printed here.
 */
export async function passesInNamespace(t, file, { setup, least, env = {} }) {
  const command = [process.execPath, '--test', '--test-reporter=tap', file];
  const all = { ...process.env, ...env };
  // Set by the runner of this file: with it, the inner run would report to the outer one.
  delete all.NODE_TEST_CONTEXT;
  const script = `ip link set lo up\n${setup}\nexec "$@"`;
  const inner = spawn('unshare', ['--net', 'sh', '-euc', script, 'sh', ...command], { env: all, cwd: BROWSER });
  let output = '';
  for (const stream of [inner.stdout, inner.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [code] = await once(inner, 'close');
  assert.equal(code, 0, output);
  const passed = Number(/^# pass (\d+)$/m.exec(output)?.[1]);
  assert.ok(passed >= least, output);
  for (const [, number, name] of output.matchAll(/^ok (\d+) - (.*)$/gm)) t.diagnostic(`${number}: ${name}`);
  for (const [, text] of output.matchAll(/^ *# ((?!Subtest|tests|suites|pass|fail|cancelled|skipped|todo|duration).*)$/gm)) {
    t.diagnostic(text);
  }
}
