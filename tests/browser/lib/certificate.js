// A certificate for the TURN server of a test.

import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A self-signed certificate and its key in a new folder; Chromium is configured to accept it. */
export function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'leat-turn-'));
  const [cert, key] = ['cert.pem', 'key.pem'].map((file) => join(folder, file));
  const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'];
  execFileSync('openssl', [...make, '-keyout', key, '-out', cert, ...names], { stdio: 'ignore' });
  const args = ['--turn-certificate', cert, '--turn-private-key', key];
  return { folder, args, browserArgs: ['--ignore-certificate-errors'] };
}
