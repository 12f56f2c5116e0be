// Messages that break the protocol, from either side.

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { chunkLength, chunksOf, decode, encode, type FileSignal, type WireChunk } from './file_wire';
import {
  BYTES_PER_SENDER_MAX,
  CORRUPT_CHUNKS_MAX,
  DUPLICATES_MAX,
  ENDED_MAX,
  FILE_BYTES_MAX,
  OFFERS_OPEN_MAX,
  RESTARTS_MAX,
  UNSTORED_CHUNKS_MAX,
} from './limits';
import { KeepingStorage, random, randomBytes, SimulatedClient, SimulatedRoom } from './testing';
import type { FileErrorCode } from './types';

const id = 'transfer-0123456789';
const size = 100_000;
const chunkSize = 1_000;
const total = chunksOf(size, chunkSize);
const bytes = randomBytes(size, 1);
const metadata = { name: 'a.txt', type: '', size, lastModified: 0 };
const offer: FileSignal = { kind: 'offer', metadata, chunkSize, total, toRoom: false };
const sha256 = (data: Uint8Array) => new Uint8Array(createHash('sha256').update(data).digest());

function chunk(sequence: number, rest: Partial<WireChunk> = {}): WireChunk {
  const data = bytes.slice(sequence * chunkSize, sequence * chunkSize + chunkLength(sequence, size, chunkSize));
  return { kind: 'chunk', sequence, total, data, checksum: sha256(data), ...rest };
}

/** Bob, and a peer without a client that sends what it likes. */
function attack(storage = new KeepingStorage()) {
  const room = new SimulatedRoom(1, { latencyMs: 1 });
  const bob = new SimulatedClient(room, 'bob', { storage });
  const link = room.join('mallory');
  const answers: { id: string | null; signal: unknown }[] = [];
  link.listen({
    onMessage: (_, message) => answers.push(decode(message) ?? { id: null, signal: null }),
    onLow: () => undefined,
    onOpen: () => undefined,
    onClosed: () => undefined,
  });
  const send = (signal: FileSignal, name = id) => link.send(encode(name, signal), 'bob');
  const raw = (message: Uint8Array<ArrayBuffer>) => link.send(message, 'bob');
  const accepted = async () => {
    send(offer);
    await room.until(() => bob.stateOf(id) === 'offered');
    await bob.transfers.accept(id);
    await room.forMs(10);
    answers.length = 0;
  };
  return { room, bob, storage, send, raw, answers, accepted };
}

const oversized = { data: randomBytes(chunkSize + 1, 1) };

test.each<[string, FileSignal[], FileErrorCode]>([
  ['another total', [chunk(0, { total: total + 1 })], 'PROTOCOL'],
  ['a sequence that the file does not have', [chunk(0, { sequence: total, total: total + 1 })], 'PROTOCOL'],
  ['a chunk that is too long', [chunk(0, { ...oversized, checksum: sha256(oversized.data) })], 'PROTOCOL'],
  ['a chunk that is too short', [chunk(0, { data: bytes.slice(0, 10), checksum: sha256(bytes.slice(0, 10)) })], 'PROTOCOL'],
  ['messages of a receiver', [{ kind: 'done' }], 'PROTOCOL'],
  [
    'two hashes',
    [
      { kind: 'finalHash', sha256: sha256(bytes) },
      { kind: 'finalHash', sha256: sha256(bytes.slice(1)) },
    ],
    'PROTOCOL',
  ],
])('%s: the transfer fails on both sides, and what was stored is deleted', async (_, signals, reason) => {
  const { room, bob, storage, send, answers, accepted } = attack();
  await accepted();
  send(chunk(1));
  for (const signal of signals) send(signal);
  await room.until(() => bob.stateOf(id) === 'failed', 1_000);
  await room.forMs(10);
  expect(bob.shown.get(id)).toMatchObject({ errorCode: reason, error: expect.stringContaining('not valid') });
  expect(answers.at(-1)).toEqual({ id, signal: { kind: 'cancel', reason } });
  expect(storage.sinks.size).toBe(0);
});

test('a chunk before the file is accepted ends the offer', async () => {
  const { room, bob, storage, send, answers } = attack();
  send(offer);
  send(chunk(0));
  await room.until(() => bob.stateOf(id) === 'failed', 1_000);
  await room.forMs(10);
  expect(answers).toEqual([{ id, signal: { kind: 'cancel', reason: 'PROTOCOL' } }]);
  await bob.transfers.accept(id);
  expect(bob.stateOf(id)).toBe('failed');
  expect(storage.sinks.size).toBe(0);
});

test('messages about an unknown transfer are answered and change nothing', async () => {
  const { room, bob, send, answers } = attack();
  const signals: FileSignal[] = [
    chunk(0),
    { kind: 'query', number: 1, paused: false },
    { kind: 'finalHash', sha256: sha256(bytes) },
  ];
  const later: FileSignal[] = [{ kind: 'cancel', reason: 'USER' }, { kind: 'done' }];
  for (const signal of [...signals, ...later]) send(signal);
  await room.forMs(100);
  expect(answers).toEqual(signals.map(() => ({ id, signal: { kind: 'cancel', reason: 'UNKNOWN_TRANSFER' } })));
  expect(bob.shown.size).toBe(0);
});

test('another peer that knows the id can neither end a transfer nor write to it nor replace it', async () => {
  const { room, bob, send, accepted } = attack();
  const eve = room.join('eve');
  await accepted();
  for (const signal of [chunk(0, { total: 1 }), { kind: 'cancel', reason: 'USER' } as const, offer])
    eve.send(encode(id, signal), 'bob');
  await room.forMs(100);
  expect(bob.shown.get(id)).toMatchObject({ state: 'active', bytes: 0, peerId: 'mallory' });
  for (let sequence = 0; sequence < total; sequence++) send(chunk(sequence));
  send({ kind: 'finalHash', sha256: sha256(bytes) });
  await room.until(() => bob.stateOf(id) === 'done');
});

test('duplicates are counted, and too many of them end the transfer', async () => {
  const { room, bob, send, accepted } = attack();
  await accepted();
  for (let copies = 0; copies <= total + DUPLICATES_MAX; copies++) send(chunk(3));
  await room.forMs(500);
  expect(bob.shown.get(id)).toMatchObject({ state: 'active', bytes: chunkSize });
  send(chunk(3));
  await room.until(() => bob.stateOf(id) === 'failed', 1_000);
});

test('a corrupt chunk is requested again; one too many ends the transfer', async () => {
  const { room, bob, send, answers, accepted } = attack();
  await accepted();
  for (let sequence = 0; sequence < 4; sequence++) send(chunk(sequence, sequence === 2 ? { checksum: sha256(bytes) } : {}));
  send({ kind: 'query', number: 1, paused: false });
  await room.forMs(10);
  const missing = { next: 2, end: 4, ranges: [{ start: 2, end: 3 }] };
  expect(answers).toEqual([{ id, signal: { kind: 'missing', missing, paused: false, query: 1 } }]);
  for (let copies = 1; copies < CORRUPT_CHUNKS_MAX; copies++) {
    send(chunk(2, { checksum: sha256(bytes) }));
    await room.forMs(5);
  }
  expect(bob.stateOf(id)).toBe('active');
  send(chunk(2, { checksum: sha256(bytes) }));
  await room.until(() => bob.stateOf(id) === 'failed', 1_000);
  expect(bob.shown.get(id)?.errorCode).toBe('CORRUPT');
});

test('a wrong final hash is an error that the user sees, and the file is deleted', async () => {
  const { room, bob, storage, send, answers, accepted } = attack();
  await accepted();
  for (let sequence = 0; sequence < total; sequence++) send(chunk(sequence));
  send({ kind: 'finalHash', sha256: sha256(bytes.slice(1)) });
  await room.until(() => bob.stateOf(id) === 'failed', 1_000);
  await room.forMs(10);
  expect(bob.shown.get(id)).toMatchObject({ errorCode: 'WRONG_HASH', error: expect.stringContaining('other bytes') });
  expect(bob.transfers.result(id)).toBe(null);
  expect(storage.sinks.size).toBe(0);
  expect(answers.at(-1)).toEqual({ id, signal: { kind: 'cancel', reason: 'WRONG_HASH' } });
});

test('a sender has a quota of open offers and of bytes, and another one is not affected', async () => {
  const { room, bob, send, answers } = attack();
  const name = (at: number) => `transfer-${String(at).padStart(10, '0')}`;
  for (let at = 0; at < OFFERS_OPEN_MAX + 2; at++) send(offer, name(at));
  await room.forMs(10);
  expect([...bob.shown.keys()]).toEqual(Array.from({ length: OFFERS_OPEN_MAX }, (_, at) => name(at)));
  expect(answers).toEqual([8, 9].map((at) => ({ id: name(at), signal: { kind: 'answer', accepted: false, reason: 'QUOTA' } })));
  bob.transfers.decline(name(0));
  const huge = { ...metadata, size: FILE_BYTES_MAX };
  expect(2 * FILE_BYTES_MAX).toBeLessThanOrEqual(BYTES_PER_SENDER_MAX);
  send({ kind: 'offer', metadata: huge, chunkSize: 65_536, total: FILE_BYTES_MAX / 65_536, toRoom: false }, name(10));
  bob.transfers.decline(name(1));
  send({ kind: 'offer', metadata: huge, chunkSize: 65_536, total: FILE_BYTES_MAX / 65_536, toRoom: false }, name(11));
  await room.forMs(10);
  expect(bob.stateOf(name(10))).toBe('offered');
  expect(bob.stateOf(name(11))).toBe(undefined);
  room.join('eve').send(encode(name(12), offer), 'bob');
  await room.forMs(10);
  expect(bob.stateOf(name(12))).toBe('offered');
});

test('offers that end do not push out a file that arrived, and their number is bounded', async () => {
  const { room, bob, send, accepted } = attack();
  await accepted();
  for (let sequence = 0; sequence < total; sequence++) send(chunk(sequence));
  send({ kind: 'finalHash', sha256: sha256(bytes) });
  await room.until(() => bob.stateOf(id) === 'done');
  for (let at = 0; at < ENDED_MAX + 50; at++) {
    send(offer, `transfer-${String(at).padStart(10, '0')}`);
    send({ kind: 'cancel', reason: 'USER' }, `transfer-${String(at).padStart(10, '0')}`);
  }
  await room.forMs(500);
  expect(bob.shown.size).toBe(ENDED_MAX + 1);
  expect(bob.transfers.result(id)?.size).toBe(size);
});

test('another peer cannot answer an offer in the place of its receiver', async () => {
  const room = new SimulatedRoom(1, { latencyMs: 1 });
  const ada = new SimulatedClient(room, 'ada', { chunkBytes: chunkSize });
  room.join('bob');
  const eve = room.join('eve');
  const sent = ada.offer(bytes, 'bob');
  const missing = { next: 0, end: 0, ranges: [] };
  eve.send(encode(sent, { kind: 'answer', accepted: true, missing, inOrder: false }), 'ada');
  eve.send(encode(sent, { kind: 'answer', accepted: false, reason: 'USER' }), 'ada');
  await room.forMs(50);
  expect(ada.shown.get(sent)).toMatchObject({ state: 'offered', peerId: 'bob' });
  expect(room.sent.some(({ message }) => decode(message)?.signal.kind === 'chunk')).toBe(false);
});

test('a file that is too large is declined before the user is asked', async () => {
  const { room, bob, send, answers } = attack();
  const huge = { ...metadata, size: FILE_BYTES_MAX + 1 };
  send({ kind: 'offer', metadata: huge, chunkSize: 65_536, total: FILE_BYTES_MAX / 65_536 + 1, toRoom: false });
  await room.forMs(10);
  expect(answers).toEqual([{ id, signal: { kind: 'answer', accepted: false, reason: 'TOO_LARGE' } }]);
  expect(bob.shown.size).toBe(0);
});

test('a store that does not keep up holds a bounded number of chunks', async () => {
  let release: (() => void) | null = null;
  let written = 0;
  class SlowStorage extends KeepingStorage {
    override async open(file: Parameters<KeepingStorage['open']>[0]) {
      const sink = await super.open(file);
      const write = sink.write.bind(sink);
      sink.write = async (sequence, data) => {
        await new Promise<void>((done) => {
          release = done;
        });
        written += 1;
        return write(sequence, data);
      };
      return sink;
    }
  }
  const { room, send, accepted } = attack(new SlowStorage());
  await accepted();
  for (let sequence = 0; sequence < total; sequence++) send(chunk(sequence));
  await room.forMs(100);
  for (let steps = 0; steps < 2 * total; steps++) {
    (release as (() => void) | null)?.();
    release = null;
    await room.forMs(0);
  }
  expect(written).toBe(UNSTORED_CHUNKS_MAX);
});

test('a store without room and a file that cannot be read fail with their reason', async () => {
  const room = new SimulatedRoom(1);
  const ada = new SimulatedClient(room, 'ada');
  const bob = new SimulatedClient(room, 'bob', { storage: new KeepingStorage(100) });
  const large = ada.offer(randomBytes(101, 1), 'bob');
  const source = { size: 100, read: async () => Promise.reject(new Error('the file has moved')) };
  const moved = ada.transfers.send(source, 'bob', { name: 'moved', type: '', lastModified: 0 });
  await room.until(() => bob.stateOf(large) === 'offered' && bob.stateOf(moved) === 'offered');
  await bob.transfers.accept(large);
  await bob.transfers.accept(moved);
  await room.until(() => ada.stateOf(large) === 'failed' && bob.stateOf(moved) === 'failed');
  for (const client of [ada, bob]) {
    expect(client.shown.get(large)?.errorCode).toBe('STORAGE');
    expect(client.shown.get(moved)?.errorCode).toBe('SOURCE');
  }
});

test.each<[string, FileSignal[]]>([
  [
    'confirms chunks that do not exist',
    [{ kind: 'missing', missing: { next: 0, end: 9_999, ranges: [] }, paused: false, query: 0 }],
  ],
  ['has the file before the hash', [{ kind: 'done' }]],
  ['sends chunks', [chunk(0)]],
  [
    'accepts again and again',
    Array.from({ length: RESTARTS_MAX }, () => ({
      kind: 'answer' as const,
      accepted: true as const,
      missing: { next: 0, end: 0, ranges: [] },
      inOrder: false,
    })),
  ],
  [
    'accepts more chunks than there are',
    [{ kind: 'answer', accepted: true, missing: { next: 0, end: 9_999, ranges: [] }, inOrder: false }],
  ],
])('a receiver that %s ends its transfer', async (_, signals) => {
  const room = new SimulatedRoom(1, { latencyMs: 1 });
  const ada = new SimulatedClient(room, 'ada', { chunkBytes: chunkSize });
  const link = room.join('mallory');
  const sent = ada.offer(bytes, 'mallory');
  link.send(encode(sent, { kind: 'answer', accepted: true, missing: { next: 0, end: 0, ranges: [] }, inOrder: false }), 'ada');
  for (const signal of signals) link.send(encode(sent, signal), 'ada');
  await room.until(() => ada.stateOf(sent) === 'failed', 1_000);
  expect(ada.shown.get(sent)?.errorCode).toBe('PROTOCOL');
});

test('a receiver that never answers is given up; one that confirms nothing gets a bounded number of chunks', async () => {
  const room = new SimulatedRoom(1, { latencyMs: 1 });
  const ada = new SimulatedClient(room, 'ada', { chunkBytes: 100 });
  const link = room.join('mallory');
  const silent = ada.offer(bytes, 'mallory');
  const unanswered = ada.offer(bytes, 'mallory');
  link.send(encode(silent, { kind: 'answer', accepted: true, missing: { next: 0, end: 0, ranges: [] }, inOrder: false }), 'ada');
  await room.until(() => ada.stateOf(silent) === 'failed', 200_000);
  expect(ada.shown.get(silent)?.errorCode).toBe('TIMEOUT');
  const chunks = room.sent.filter(({ message }) => decode(message)?.signal.kind === 'chunk');
  expect(chunks).toHaveLength(16);
  expect(ada.stateOf(unanswered)).toBe('offered');
  await room.until(() => ada.stateOf(unanswered) === 'failed', 601_000);
});

test('messages with changed bytes never throw, and what is shown stays bounded', async () => {
  const { room, bob, raw, accepted } = attack();
  await accepted();
  const own = bob.offer(randomBytes(10_000, 1), 'mallory');
  const signals: FileSignal[] = [
    offer,
    chunk(0),
    { kind: 'query', number: 1, paused: false },
    { kind: 'pause', paused: true },
    { kind: 'answer', accepted: true, missing: { next: 0, end: 1, ranges: [{ start: 0, end: 1 }] }, inOrder: true },
    { kind: 'missing', missing: { next: 0, end: 1, ranges: [{ start: 0, end: 1 }] }, paused: false, query: 1 },
  ];
  const next = random(99);
  for (let count = 0; count < 3_000; count++) {
    const message = encode(next() < 0.5 ? id : own, signals[count % signals.length] as FileSignal);
    for (let changes = Math.floor(next() * 3); changes > 0; changes--)
      message[Math.floor(next() * Math.min(80, message.length))] = next() * 256;
    raw(message);
  }
  await room.forMs(1_000);
  expect([...bob.shown.values()].filter(({ state }) => state === 'offered').length).toBeLessThanOrEqual(OFFERS_OPEN_MAX + 1);
});
