// `npm run size`: bytes of each entry of the SDK, as a server sends them with gzip, after `npm run build:sdk`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** The entries of the package; the hooks import the SDK. */
export const ENTRIES = ['leat.js', 'react/index.js'];

/** By entry, the bytes of the file and of its gzip. */
export function sizes(folder = join(import.meta.dirname, '../dist-sdk')) {
  const rows = ENTRIES.map((entry) => {
    const bytes = readFileSync(join(folder, entry));
    return [entry, { bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length }];
  });
  return Object.fromEntries(rows);
}

if (import.meta.filename === process.argv[1]) {
  for (const [entry, { bytes, gzip }] of Object.entries(sizes())) process.stdout.write(`${entry}\t${bytes}\t${gzip} gzip\n`);
}
