import { create, toBinary } from '@bufbuild/protobuf';
import { expect, expectTypeOf, test } from 'vitest';
import { FileMessageSchema, type Reason } from '../../gen/file_pb';
import { decode, encode, type FileSignal, type Offer, toFileChunk, toWireChunk, type WireChunk } from './file_wire';
import { CHUNK_BYTES_MAX, CHUNKS_MAX, FILE_BYTES_MAX, MESSAGE_BYTES_MAX, RANGES_MAX } from './limits';
import { random, randomBytes } from './testing';
import type { FileChunk, FileMetadata, FileTransfer } from './types';

const id = '0123456789abcdef';
const metadata = { name: 'a.txt', type: 'text/plain', size: 100, lastModified: 1_700_000_000_000 };
const offer: Offer = { kind: 'offer', metadata, chunkSize: 64, total: 2, toRoom: true };
const chunk: WireChunk = { kind: 'chunk', sequence: 1, total: 2, data: randomBytes(36, 1), checksum: randomBytes(32, 2) };
const signals: FileSignal[] = [
  offer,
  { kind: 'answer', accepted: true, missing: { next: 0, end: 2, ranges: [{ start: 0, end: 2 }] }, inOrder: true },
  { kind: 'answer', accepted: false, reason: 'QUOTA' },
  chunk,
  {
    kind: 'missing',
    missing: {
      next: 1,
      end: 8,
      ranges: [
        { start: 2, end: 3 },
        { start: 5, end: 8 },
      ],
    },
    paused: true,
    query: 7,
  },
  { kind: 'query', number: 3, paused: false },
  { kind: 'pause', paused: true },
  { kind: 'cancel', reason: 'WRONG_HASH' },
  { kind: 'finalHash', sha256: randomBytes(32, 3) },
  { kind: 'done' },
];

type Payload = NonNullable<Parameters<typeof create<typeof FileMessageSchema>>[1]>['payload'];
const raw = (payload: Payload, name = id) => toBinary(FileMessageSchema, create(FileMessageSchema, { id: name, payload }));
const wireMetadata = { name: 'a', type: '', size: 100n, lastModified: 0n };

test('the exported types have the fields of the requirements', () => {
  expectTypeOf<FileChunk>().toEqualTypeOf<{ id: string; sequence: number; total: number; data: ArrayBuffer; checksum: string }>();
  expectTypeOf<FileMetadata>().toEqualTypeOf<{ name: string; type: string; size: number; lastModified: number }>();
  expectTypeOf<FileTransfer['state']>().toEqualTypeOf<
    'offered' | 'active' | 'paused' | 'done' | 'declined' | 'cancelled' | 'failed'
  >();
  expectTypeOf<FileTransfer['peerId']>().toEqualTypeOf<string | null>();
});

test.each(signals)('$kind is the same after the wire', (signal) => {
  expect(decode(encode(id, signal))).toEqual({ id, signal });
});

test('the largest chunk and the longest list of ranges fit in one message', () => {
  const data = randomBytes(CHUNK_BYTES_MAX, 1);
  const largest: FileSignal = { kind: 'chunk', sequence: CHUNKS_MAX - 1, total: CHUNKS_MAX, data, checksum: randomBytes(32, 1) };
  const longId = 'x'.repeat(64);
  expect(encode(longId, largest).length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
  expect(decode(encode(longId, largest))).toEqual({ id: longId, signal: largest });
  const ranges = Array.from({ length: RANGES_MAX }, (_, at) => ({ start: CHUNKS_MAX + 2 * at, end: CHUNKS_MAX + 2 * at + 1 }));
  const missing: FileSignal = { kind: 'missing', missing: { next: 1, end: 2 ** 31, ranges }, paused: true, query: 2 ** 31 };
  expect(encode(longId, missing).length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
  expect(decode(encode(longId, missing))).toEqual({ id: longId, signal: missing });
});

test('a checksum is hex on the API and 32 bytes on the wire', () => {
  const api = toFileChunk(id, chunk);
  expect(api.checksum).toMatch(/^[0-9a-f]{64}$/);
  expect(api.data).toBeInstanceOf(ArrayBuffer);
  expect(toWireChunk(api)).toEqual({ ...chunk, checksum: new Uint8Array(chunk.checksum) });
  expect(() => toWireChunk({ ...api, checksum: api.checksum.toUpperCase() })).toThrow('lower-case hex');
});

test.each<[string, Payload, string]>([
  ['an offer without metadata', { case: 'offer', value: { chunkSize: 64, total: 2 } }, 'without metadata'],
  ['too few chunks', { case: 'offer', value: { metadata: wireMetadata, chunkSize: 64, total: 1 } }, '1 chunks of 64 bytes'],
  ['empty chunks', { case: 'offer', value: { metadata: wireMetadata, chunkSize: 0, total: 2 } }, 'chunks of 0 bytes'],
  ['large chunks', { case: 'offer', value: { metadata: wireMetadata, chunkSize: 65_537, total: 1 } }, 'chunks of 65537 bytes'],
  ['a sequence out of range', { case: 'chunk', value: { ...chunk, sequence: 2 } }, 'chunk 2 of 2'],
  ['an oversized chunk', { case: 'chunk', value: { ...chunk, data: new Uint8Array(65_537) } }, 'a chunk of 65537 bytes'],
  ['an empty chunk', { case: 'chunk', value: { ...chunk, data: new Uint8Array() } }, 'a chunk of 0 bytes'],
  ['a short checksum', { case: 'chunk', value: { ...chunk, checksum: new Uint8Array(31) } }, 'a checksum of 31 bytes'],
  ['a long hash', { case: 'finalHash', value: { sha256: new Uint8Array(33) } }, 'a hash of 33 bytes'],
  ['acceptance without ranges', { case: 'answer', value: { accepted: true } }, 'without ranges'],
  ['an empty range', { case: 'missingRanges', value: { end: 9, ranges: [{ start: 3, end: 3 }] } }, 'empty or not in order'],
  [
    'overlapping ranges',
    {
      case: 'missingRanges',
      value: {
        end: 9,
        ranges: [
          { start: 1, end: 4 },
          { start: 3, end: 5 },
        ],
      },
    },
    'empty or not in order',
  ],
  ['ranges beyond the end', { case: 'missingRanges', value: { end: 2, ranges: [{ start: 1, end: 4 }] } }, 'beyond their end'],
  [
    'too many ranges',
    {
      case: 'missingRanges',
      value: { end: 999, ranges: Array.from({ length: 257 }, (_, at) => ({ start: 2 * at, end: 2 * at + 1 })) },
    },
    '257 ranges',
  ],
])('%s are refused with a reason', (_, payload, text) => {
  const signal = { kind: 'malformed', reason: 'PROTOCOL', text: expect.stringContaining(text) };
  expect(decode(raw(payload))).toEqual({ id, signal });
});

test('a file with too many bytes or chunks is too large', () => {
  const size = BigInt(FILE_BYTES_MAX) + 1n;
  const large = raw({ case: 'offer', value: { metadata: { ...wireMetadata, size }, chunkSize: 65_536, total: CHUNKS_MAX + 1 } });
  expect(decode(large)?.signal).toMatchObject({ kind: 'malformed', reason: 'TOO_LARGE' });
  const split = { metadata: { ...wireMetadata, size: BigInt(CHUNKS_MAX + 1) }, chunkSize: 1, total: CHUNKS_MAX + 1 };
  expect(decode(raw({ case: 'offer', value: split }))?.signal).toMatchObject({ kind: 'malformed', reason: 'TOO_LARGE' });
});

test('ids are bounded, and what is no message has none', () => {
  const done: Payload = { case: 'done', value: {} };
  for (const name of ['', 'x'.repeat(15), 'x'.repeat(65), '../../../../../../a', 'with a space in it']) {
    expect(decode(raw(done, name))).toMatchObject({ id: null, signal: { kind: 'malformed' } });
  }
  expect(decode(new Uint8Array(MESSAGE_BYTES_MAX + 1))).toMatchObject({ id: null, signal: { kind: 'malformed' } });
  expect(decode(new Uint8Array([0xff, 0xff, 0xff]))).toMatchObject({ id: null, signal: { kind: 'malformed' } });
});

test('messages and reasons of a later version are no failure', () => {
  const unknown = new Uint8Array([...raw(undefined), 0xfa, 0x07, 0x01, 0x00]);
  expect(decode(unknown)).toBe(null);
  const cancel = decode(raw({ case: 'cancel', value: { reason: 99 as Reason } }));
  expect(cancel?.signal).toEqual({ kind: 'cancel', reason: 'PROTOCOL' });
});

test('changed bytes never throw', () => {
  const messages = signals.map((signal) => encode(id, signal));
  for (let seed = 1; seed <= 5_000; seed++) {
    const next = random(seed);
    const bytes = (messages[seed % messages.length] ?? new Uint8Array()).slice(0, 1 + Math.floor(next() * 200));
    for (let changes = 0; changes < 3; changes++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    expect(() => decode(bytes), `seed ${seed}`).not.toThrow();
  }
});
