import { expect, test } from 'vitest';
import { safeFileName, safeFileType } from './file_name';
import { NAME_BYTES_MAX } from './limits';
import { random } from './testing';

test.each([
  ['report.pdf', 'report.pdf'],
  ['../../etc/passwd', '__.._etc_passwd'],
  ['C:\\temp\\a.txt', 'C__temp_a.txt'],
  ['fullwidth\uff0fslash.txt', 'fullwidth_slash.txt'],
  ['line\r\nbreak\0.txt', 'linebreak.txt'],
  ['invoice\u202efdp.exe', 'invoicefdp.exe'],
  ['\u2066left\u2069\u200f.txt', 'left.txt'],
  ['lone\ud800.txt', 'lone.txt'],
  ['\u2028two\u2029.txt', 'two.txt'],
  ['CON', '_CON'],
  ['nul.tar.gz', '_nul.tar.gz'],
  ['aux .txt', '_aux .txt'],
  ['Com1.log', '_Com1.log'],
  ['lpt\u00b2', '_lpt\u00b2'],
  ['console.log', 'console.log'],
  ['.bashrc', '_bashrc'],
  ['..', '_'],
  ['name. . .', 'name'],
  ['a<b>|c?*".txt', 'a_b__c___.txt'],
  ['e\u0301.txt', '\u00e9.txt'],
  ['\u{1f468}\u200d\u{1f469}.png', '\u{1f468}\u200d\u{1f469}.png'],
  ['', 'file'],
  ['\u200b \t', 'file'],
])('the name %j becomes %j', (name, safe) => {
  expect(safeFileName(name)).toBe(safe);
});

test('a long name is cut between characters, and its extension stays', () => {
  const safe = safeFileName(`${'\u{1f600}'.repeat(1_000)}.jpeg`);
  // The extension was beyond the part that is read.
  expect(new TextEncoder().encode(safe).length).toBe(NAME_BYTES_MAX);
  const short = safeFileName(`${'é'.repeat(150)}.jpeg`);
  expect(short.endsWith('é.jpeg')).toBe(true);
  expect(new TextEncoder().encode(short).length).toBeLessThanOrEqual(NAME_BYTES_MAX);
});

test('a safe name stays as it is, whatever the characters of the first one were', () => {
  const pool = [
    '.',
    ' ',
    '/',
    '\\',
    'c',
    'o',
    'n',
    'é',
    '\u202e',
    '\0',
    '\ud83d',
    '\ude00',
    '\u200d',
    '_',
    '\u0301',
    'x'.repeat(190),
  ];
  for (let seed = 1; seed <= 2_000; seed++) {
    const next = random(seed);
    const name = Array.from({ length: 1 + Math.floor(next() * 12) }, () => pool[Math.floor(next() * pool.length)]).join('');
    const safe = safeFileName(name);
    expect(safeFileName(safe), `seed ${seed}`).toBe(safe);
    expect(safe, `seed ${seed}`).toMatch(/^[^/\\\0.][^/\\\0]*$/u);
    expect(new TextEncoder().encode(safe).length, `seed ${seed}`).toBeLessThanOrEqual(NAME_BYTES_MAX);
  }
});

test('a type is a MIME type or empty', () => {
  expect(safeFileType('image/SVG+xml')).toBe('image/svg+xml');
  expect(safeFileType('text/html; charset=utf-8')).toBe('');
  expect(safeFileType('a"b/c')).toBe('');
});
