// docs/files.md agrees with the code.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FileMessageSchema } from '../../gen/file_pb';
import * as limits from './limits';

const page = readFileSync(join(import.meta.dirname, '../../../../../docs/files.md'), 'utf8');

/** The cells of all rows of a section. */
function rowsOf(title: string): string[][] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((line) =>
    line
      .split('|')
      .map((cell) => cell.trim())
      .slice(1, -1),
  );
}

test('the page lists each limit with its value', () => {
  const rows = rowsOf('Limits').map(([name = '', value = '']) => [name.replaceAll('`', ''), Number(value.replaceAll(',', ''))]);
  expect(Object.fromEntries(rows)).toEqual({ ...limits });
});

test('the page lists each message', () => {
  const named = rowsOf('Messages').map(([name = '']) => name.replaceAll('`', ''));
  expect(named).toEqual(FileMessageSchema.fields.filter(({ oneof }) => oneof).map(({ name }) => name));
});

test('the limits fit together', () => {
  expect(limits.CHUNKS_MAX * limits.CHUNK_BYTES_MAX).toBe(limits.FILE_BYTES_MAX);
  expect(limits.MEMORY_FILE_BYTES_MAX).toBeLessThan(limits.FILE_BYTES_MAX);
  // A window is confirmed before it is full, and a receiver stores all of it.
  expect(limits.CONFIRM_CHUNKS).toBeLessThan(limits.WINDOW_START_CHUNKS);
  expect(limits.WINDOW_MAX_CHUNKS).toBeLessThanOrEqual(limits.UNSTORED_CHUNKS_MAX);
});

test('names of limits and codes in the text exist', () => {
  const named = new Set([...page.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name = '']) => name));
  const codes = [
    'PEER_LEFT',
    'TIMEOUT',
    'CORRUPT',
    'WRONG_HASH',
    'SOURCE',
    'STORAGE',
    'QUOTA',
    'TOO_LARGE',
    'PROTOCOL',
    'UNKNOWN_TRANSFER',
  ];
  expect([...named].filter((name) => !(name in limits) && !codes.includes(name))).toEqual([]);
});
