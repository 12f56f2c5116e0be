// The SDK as one module.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './leat.js';

const WEB = join(ROOT, 'signaling/web');

/** Builds it by a command of a shell, and returns the module. Tests that run at the same time build one after another. */
export function buildSdk(command = 'npm run build:sdk') {
  const script = `{ ${command}; } >&2; cat dist-sdk/leat.js`;
  return execFileSync('flock', ['package.json', 'sh', '-euc', script], { cwd: WEB, stdio: ['ignore', 'pipe', 'pipe'] });
}
