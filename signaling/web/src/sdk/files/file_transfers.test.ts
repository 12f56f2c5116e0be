import { expect, test } from 'vitest';
import { decode } from './file_wire';
import { BUFFER_HIGH_BYTES, MESSAGE_BYTES_MAX, WINDOW_MAX_CHUNKS } from './limits';
import { CountedSource, hashOf, KeepingStorage, randomBytes, SimulatedClient, SimulatedRoom } from './testing';

const SMALL = { chunkBytes: 1_024 };

function kindsOf(room: SimulatedRoom, from: string, kind: string) {
  return room.sent.filter((sent) => sent.from === from && decode(sent.message)?.signal.kind === kind);
}

test('a file is offered, accepted, sent and compared', async () => {
  const room = new SimulatedRoom(1);
  const [ada, bob] = [new SimulatedClient(room, 'ada'), new SimulatedClient(room, 'bob')];
  const bytes = randomBytes(1_000_000, 1);
  const id = ada.offer(bytes, 'bob', '../a\u202e.txt');
  await room.until(() => bob.stateOf(id) === 'offered');
  await room.forMs(5_000);
  expect(kindsOf(room, 'ada', 'chunk')).toHaveLength(0);
  expect(bob.shown.get(id)).toMatchObject({ peerId: 'ada', direction: 'receive', bytes: 0, metadata: { name: '__a.txt' } });
  await bob.transfers.accept(id);
  await room.until(() => ada.stateOf(id) === 'done');
  expect(bob.stateOf(id)).toBe('done');
  expect(await bob.hashOf(id)).toBe(hashOf(bytes));
  expect(bob.transfers.result(id)).toMatchObject({ name: '__a.txt', type: 'application/octet-stream', lastModified: 1 });
  expect(kindsOf(room, 'ada', 'chunk')).toHaveLength(16);
  expect(ada.states).toEqual(['offered', 'active', 'done']);
  expect(bob.states).toEqual(['offered', 'active', 'done']);
  expect(ada.shown.get(id)?.bytes).toBe(1_000_000);
});

test.each([0, 1, 65_535, 65_536, 65_537])('a file of %d bytes arrives', async (size) => {
  const room = new SimulatedRoom(1);
  const [ada, bob] = [new SimulatedClient(room, 'ada'), new SimulatedClient(room, 'bob')];
  const bytes = randomBytes(size, 1);
  const id = ada.offer(bytes, 'bob');
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.until(() => ada.stateOf(id) === 'done' && bob.stateOf(id) === 'done');
  expect(await bob.hashOf(id)).toBe(hashOf(bytes));
});

test('files arrive over paths that lose, reorder, change and cut', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const room = new SimulatedRoom(seed, {
      loss: [0, 0.01, 0.1][seed % 3],
      reorder: [0, 0.2][seed % 2],
      corrupt: [0, 0, 0.02][seed % 3],
    });
    const ada = new SimulatedClient(room, 'ada', SMALL);
    const bob = new SimulatedClient(room, 'bob', SMALL);
    const bytes = randomBytes(1 + room.below(300_000), seed);
    const id = ada.offer(bytes, 'bob');
    await room.until(() => bob.stateOf(id) === 'offered');
    await bob.transfers.accept(id);
    for (let cuts = 0; cuts < seed % 4; cuts++) {
      await room.forMs(room.below(200));
      const link = room.chance(0.5) ? ada.link : bob.link;
      link.cut();
      await room.forMs(room.below(3_000));
      link.restore();
    }
    await room.until(() => ada.stateOf(id) === 'done' && bob.stateOf(id) === 'done');
    expect(await bob.hashOf(id), `seed ${seed}`).toBe(hashOf(bytes));
  }
});

test('a seed repeats a transfer message by message', async () => {
  const run = async () => {
    const room = new SimulatedRoom(7, { loss: 0.05, reorder: 0.2 });
    const [ada, bob] = [new SimulatedClient(room, 'ada', SMALL), new SimulatedClient(room, 'bob', SMALL)];
    const id = ada.offer(randomBytes(200_000, 7), 'bob');
    await room.until(() => bob.stateOf(id) === 'offered');
    await bob.transfers.accept(id);
    await room.until(() => ada.stateOf(id) === 'done');
    return room.sent.map(({ from, to, message }) => `${from} ${to} ${hashOf(message)}`);
  };
  expect(await run()).toEqual(await run());
});

test('64 MB pass a cut in the middle with the same hash, and the sender holds little', async () => {
  const room = new SimulatedRoom(3, { loss: 0.01, bytesPerMs: 10_000 });
  const ada = new SimulatedClient(room, 'ada');
  const bob = new SimulatedClient(room, 'bob');
  const bytes = randomBytes(64 << 20, 3);
  const source = new CountedSource(bytes);
  const id = ada.transfers.send(source, 'bob', { name: 'large.bin', type: '', lastModified: 0 });
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.until(() => (bob.shown.get(id)?.bytes ?? 0) > 32 << 20);
  ada.link.cut();
  await room.forMs(10_000);
  const { bytes: beforeCut, rate } = ada.shown.get(id) ?? { bytes: 0, rate: 1 };
  expect(beforeCut).toBeGreaterThan(16 << 20);
  expect(rate).toBeLessThan(1_000_000);
  ada.link.restore();
  await room.until(() => ada.stateOf(id) === 'done' && bob.stateOf(id) === 'done');
  expect(await bob.hashOf(id)).toBe(hashOf(bytes));
  // One chunk is read at a time and given to the channel, which holds at most this.
  expect(ada.link.bufferedMax).toBeLessThanOrEqual(BUFFER_HIGH_BYTES + MESSAGE_BYTES_MAX);
  // What was confirmed before the cut is not sent again: only the window, and what the path lost.
  const chunks = kindsOf(room, 'ada', 'chunk').length;
  expect(chunks).toBeLessThan(1_024 + WINDOW_MAX_CHUNKS + 60);
  expect(source.reads).toBeLessThanOrEqual(chunks + 1);
});

test('a receiver that is reloaded continues, and gets only what it misses', async () => {
  const room = new SimulatedRoom(5);
  const storage = new KeepingStorage();
  const ada = new SimulatedClient(room, 'ada', SMALL);
  const bob = new SimulatedClient(room, 'bob', { ...SMALL, storage });
  const bytes = randomBytes(2_000_000, 5);
  const id = ada.offer(bytes, 'bob');
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.until(() => (storage.sinks.get(id)?.sink.chunks.size ?? 0) > 900);
  // The page is closed without a word, and another one joins under another id.
  bob.link.cut();
  room.links.delete('bob');
  const kept = storage.sinks.get(id)?.sink.chunks.size ?? 0;
  const sentBefore = kindsOf(room, 'ada', 'chunk').length;
  await room.forMs(1_000);
  ada.transfers.onPeerLeft('bob');
  await room.forMs(5_000);
  expect(ada.stateOf(id)).toBe('paused');
  const again = new SimulatedClient(room, 'bob-2', { ...SMALL, storage });
  await again.transfers.restore();
  expect(again.shown.get(id)).toMatchObject({ state: 'active', peerId: 'ada' });
  await room.until(() => ada.stateOf(id) === 'done' && again.stateOf(id) === 'done');
  expect(await again.hashOf(id)).toBe(hashOf(bytes));
  expect(ada.shown.get(id)?.peerId).toBe('bob-2');
  expect(kindsOf(room, 'ada', 'chunk').length - sentBefore).toBe(Math.ceil(2_000_000 / 1_024) - kept);
});

test('a sender that joins again under another id continues', async () => {
  const room = new SimulatedRoom(6);
  const ada = new SimulatedClient(room, 'ada', SMALL);
  const bob = new SimulatedClient(room, 'bob', SMALL);
  const bytes = randomBytes(500_000, 6);
  const id = ada.offer(bytes, 'bob');
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.until(() => (bob.shown.get(id)?.bytes ?? 0) > 50_000 || bob.stateOf(id) === 'done');
  ada.link.cut();
  room.links.delete('ada');
  bob.transfers.onPeerLeft('ada');
  await room.forMs(2_000);
  expect(bob.stateOf(id)).toBe('paused');
  ada.transfers.attach(room.join('ada-2'));
  await room.until(() => ada.stateOf(id) === 'done' && bob.stateOf(id) === 'done');
  expect(bob.shown.get(id)?.peerId).toBe('ada-2');
  expect(await bob.hashOf(id)).toBe(hashOf(bytes));
});

test('a peer that left and does not return fails its transfers', async () => {
  const room = new SimulatedRoom(6, { bytesPerMs: 10 });
  const [ada, bob] = [new SimulatedClient(room, 'ada'), new SimulatedClient(room, 'bob')];
  const sent = ada.offer(randomBytes(500_000, 6), 'bob');
  const offered = bob.offer(randomBytes(10, 6), 'ada');
  await room.until(() => bob.stateOf(sent) === 'offered' && ada.stateOf(offered) === 'offered');
  await bob.transfers.accept(sent);
  await room.until(() => ada.stateOf(sent) === 'active');
  bob.link.cut();
  room.links.delete('bob');
  ada.transfers.onPeerLeft('bob');
  expect(ada.shown.get(offered)).toMatchObject({ state: 'failed', errorCode: 'PEER_LEFT' });
  expect(ada.stateOf(sent)).toBe('paused');
  await room.until(() => ada.stateOf(sent) === 'failed', 61_000);
  expect(ada.shown.get(sent)).toMatchObject({ errorCode: 'PEER_LEFT', error: 'The other person left the room.' });
});

test('of two receivers one declines: it gets no byte, and the other one the file', async () => {
  const room = new SimulatedRoom(8);
  const [ada, bob, cleo] = ['ada', 'bob', 'cleo'].map((id) => new SimulatedClient(room, id, SMALL)) as [
    SimulatedClient,
    SimulatedClient,
    SimulatedClient,
  ];
  const bytes = randomBytes(300_000, 8);
  const id = ada.offer(bytes, null);
  await room.until(() => bob.stateOf(id) === 'offered' && cleo.stateOf(id) === 'offered');
  cleo.transfers.decline(id);
  await bob.transfers.accept(id);
  await room.until(() => ada.stateOf(id) === 'done');
  expect(await bob.hashOf(id)).toBe(hashOf(bytes));
  expect(cleo.stateOf(id)).toBe('declined');
  expect(kindsOf(room, 'ada', 'chunk').every(({ to }) => to === 'bob')).toBe(true);
  expect(ada.shown.get(id)).toMatchObject({
    peerId: null,
    receivers: [
      { peerId: 'bob', state: 'done', bytes: 300_000 },
      { peerId: 'cleo', state: 'declined', errorCode: 'USER' },
    ],
  });
});

test('receivers of a room that all accept share the chunks, also one that accepts later', async () => {
  const room = new SimulatedRoom(9, { bytesPerMs: 1_000 });
  const [ada, bob, cleo] = ['ada', 'bob', 'cleo'].map((id) => new SimulatedClient(room, id, SMALL)) as [
    SimulatedClient,
    SimulatedClient,
    SimulatedClient,
  ];
  const bytes = randomBytes(1_000 * 1_024, 9);
  const id = ada.offer(bytes, null);
  await room.until(() => bob.stateOf(id) === 'offered' && cleo.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.until(() => kindsOf(room, 'ada', 'chunk').length > 200);
  await cleo.transfers.accept(id);
  await room.until(() => ada.stateOf(id) === 'done');
  for (const client of [bob, cleo]) expect(await client.hashOf(id)).toBe(hashOf(bytes));
  const chunks = kindsOf(room, 'ada', 'chunk');
  // About 200 chunks go to each of the two, and the rest goes to both at once.
  expect(chunks.length).toBeLessThan(1_400);
  expect(chunks.filter(({ to }) => to === null).length).toBeGreaterThan(600);
});

test('either side pauses and resumes', async () => {
  const room = new SimulatedRoom(10, { bytesPerMs: 500 });
  const [ada, bob] = [new SimulatedClient(room, 'ada', SMALL), new SimulatedClient(room, 'bob', SMALL)];
  const bytes = randomBytes(1_000_000, 10);
  const id = ada.offer(bytes, 'bob');
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  for (const client of [ada, bob]) {
    await room.forMs(300);
    client.transfers.pause(id);
    await room.until(() => ada.stateOf(id) === 'paused' && bob.stateOf(id) === 'paused');
    await room.forMs(500);
    const { length } = kindsOf(room, 'ada', 'chunk');
    await room.forMs(300_000);
    expect(kindsOf(room, 'ada', 'chunk')).toHaveLength(length);
    expect(ada.shown.get(id)?.rate).toBe(0);
    client.transfers.resume(id);
    await room.until(() => ada.stateOf(id) === 'active' && bob.stateOf(id) === 'active');
  }
  await room.until(() => ada.stateOf(id) === 'done');
  expect(await bob.hashOf(id)).toBe(hashOf(bytes));
});

test('a receiver that accepts while the sender has paused sees that', async () => {
  const room = new SimulatedRoom(10);
  const [ada, bob, cleo] = ['ada', 'bob', 'cleo'].map((id) => new SimulatedClient(room, id, SMALL)) as [
    SimulatedClient,
    SimulatedClient,
    SimulatedClient,
  ];
  const id = ada.offer(randomBytes(300_000, 10), null);
  await room.until(() => bob.stateOf(id) === 'offered' && cleo.stateOf(id) === 'offered');
  ada.transfers.pause(id);
  await bob.transfers.accept(id);
  await room.until(() => bob.stateOf(id) === 'paused');
  await room.forMs(1_000);
  expect(kindsOf(room, 'ada', 'chunk')).toHaveLength(0);
  ada.transfers.resume(id);
  cleo.transfers.decline(id);
  await room.until(() => bob.stateOf(id) === 'done');
});

test.each(['ada', 'bob'])('%s cancels: both sides end, also when the message is lost', async (who) => {
  const room = new SimulatedRoom(11, { bytesPerMs: 500 });
  const storage = new KeepingStorage();
  const [ada, bob] = [new SimulatedClient(room, 'ada', SMALL), new SimulatedClient(room, 'bob', { ...SMALL, storage })];
  const id = ada.offer(randomBytes(1_000_000, 11), 'bob');
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.forMs(200);
  room.path.loss = 1;
  (who === 'ada' ? ada : bob).transfers.cancel(id);
  expect((who === 'ada' ? ada : bob).stateOf(id)).toBe('cancelled');
  await room.forMs(100);
  room.path.loss = 0;
  await room.until(() => ada.stateOf(id) === 'cancelled' && bob.stateOf(id) === 'cancelled', 30_000);
  expect(storage.sinks.size).toBe(0);
  expect(ada.shown.get(id)?.error).toBe(undefined);
});

test('several files share the channel in turn', async () => {
  const room = new SimulatedRoom(12, { bytesPerMs: 500 });
  const [ada, bob] = [new SimulatedClient(room, 'ada', SMALL), new SimulatedClient(room, 'bob', SMALL)];
  const files = [0, 1, 2].map((seed) => randomBytes(400_000, seed));
  const ids = files.map((bytes) => ada.offer(bytes, 'bob'));
  await room.until(() => ids.every((id) => bob.stateOf(id) === 'offered'));
  for (const id of ids) await bob.transfers.accept(id);
  await room.until(() => ids.some((id) => bob.stateOf(id) === 'done'));
  // When the first one ends, the others are near their end.
  for (const id of ids) expect(bob.shown.get(id)?.bytes).toBeGreaterThan(300_000);
  await room.until(() => ids.every((id) => ada.stateOf(id) === 'done'));
  for (const [at, id] of ids.entries()) expect(await bob.hashOf(id)).toBe(hashOf(files[at] as Uint8Array));
});

test('the rate follows the path', async () => {
  const room = new SimulatedRoom(13, { bytesPerMs: 500 });
  const [ada, bob] = [new SimulatedClient(room, 'ada'), new SimulatedClient(room, 'bob')];
  const id = ada.offer(randomBytes(8 << 20, 13), 'bob');
  await room.until(() => bob.stateOf(id) === 'offered');
  await bob.transfers.accept(id);
  await room.forMs(10_000);
  for (const client of [ada, bob]) {
    expect(client.shown.get(id)?.rate).toBeGreaterThan(450_000);
    expect(client.shown.get(id)?.rate).toBeLessThan(550_000);
  }
});
