import { expect, test, vi } from 'vitest';
import { BlobSource } from './file_source';
import { memoryStorage, type StoredFile, StreamSink } from './file_storage';
import { KEPT_MS_MAX, READ_BYTES, SEGMENT_CHUNKS, SEGMENTS_OPEN_MAX } from './limits';
import { OpfsStorage } from './opfs_storage';
import { hashOf, memoryOpfs, randomBytes, SimulatedClient, SimulatedRoom } from './testing';

const SMALL = { chunkBytes: 1_024 };
const id = 'transfer-0123456789';

function fileOf(size: number, rest: Partial<StoredFile> = {}): StoredFile {
  const metadata = { name: 'a', type: '', size, lastModified: 0 };
  return { id, peerId: 'ada', user: 'ada', metadata, chunkSize: 1_000, total: Math.ceil(size / 1_000), toRoom: false, ...rest };
}

const chunkOf = (bytes: Uint8Array<ArrayBuffer>, sequence: number) => bytes.slice(sequence * 1_000, (sequence + 1) * 1_000);

test('a blob is read in blocks, also backwards and over the edge of a block', async () => {
  const bytes = randomBytes(3 * READ_BYTES + 100, 1);
  let slices = 0;
  class Counted extends Blob {
    override slice(start?: number, end?: number) {
      slices += 1;
      return super.slice(start, end);
    }
  }
  const source = new BlobSource(new Counted([bytes]));
  for (let at = 0; at < bytes.length; at += 65_536) {
    const end = Math.min(at + 65_536, bytes.length);
    expect(hashOf(await source.read(at, end))).toBe(hashOf(bytes.subarray(at, end)));
  }
  expect(slices).toBe(4);
  for (const at of [2_000_000, 5, READ_BYTES - 1]) {
    expect(await source.read(Math.min(at, bytes.length - 10), at + 10)).toEqual(
      bytes.slice(Math.min(at, bytes.length - 10), at + 10),
    );
  }
});

test('whole segments survive the page, in any order of chunks; the finished file is their sequence', async () => {
  const opfs = memoryOpfs();
  const bytes = randomBytes(200_500, 2);
  const file = fileOf(bytes.length);
  const first = await new OpfsStorage(opfs).open(file);
  const order = [...Array(SEGMENT_CHUNKS + 10).keys()].reverse().concat(200);
  for (const sequence of order) {
    expect(await first.write(sequence, chunkOf(bytes, sequence))).toBe(true);
    expect(await first.read(sequence)).toEqual(chunkOf(bytes, sequence));
  }
  // The page ends.
  opfs.locks.clear();
  const storage = new OpfsStorage(opfs);
  expect(await storage.kept()).toEqual([{ ...file, createdAt: 0 }]);
  const second = await storage.open(file);
  // The first segment was whole. The last one has chunks 192 to 200: it was not.
  expect(second.stored.missing(9)).toEqual({ next: SEGMENT_CHUNKS, end: SEGMENT_CHUNKS, ranges: [] });
  for (let sequence = SEGMENT_CHUNKS; sequence < file.total; sequence++) await second.write(sequence, chunkOf(bytes, sequence));
  expect(await second.read(3)).toEqual(chunkOf(bytes, 3));
  expect(await second.read(200)).toEqual(bytes.slice(200_000));
  const blob = await second.finish();
  expect(hashOf(new Uint8Array((await blob?.arrayBuffer()) ?? []))).toBe(hashOf(bytes));
  await second.discard();
  expect(opfs.locks.size).toBe(0);
  expect(await storage.kept()).toEqual([]);
  expect([...(await opfs.directory.getDirectoryHandle('leat-files')).directories.keys()]).toEqual([]);
});

test('chunks of too many segments at once are refused, so that memory is bounded', async () => {
  const sink = await new OpfsStorage(memoryOpfs()).open(fileOf(1_000_000));
  const bytes = randomBytes(1_000, 1);
  for (let segment = 0; segment < SEGMENTS_OPEN_MAX; segment++)
    expect(await sink.write(segment * SEGMENT_CHUNKS, bytes)).toBe(true);
  expect(await sink.write(SEGMENTS_OPEN_MAX * SEGMENT_CHUNKS, bytes)).toBe(false);
  for (let sequence = 1; sequence < SEGMENT_CHUNKS; sequence++) expect(await sink.write(sequence, bytes)).toBe(true);
  expect(await sink.write(SEGMENTS_OPEN_MAX * SEGMENT_CHUNKS, bytes)).toBe(true);
});

test('a file has one page; old, broken and finished ones are deleted', async () => {
  let now = 0;
  const opfs = memoryOpfs({ now: () => now });
  const storage = new OpfsStorage(opfs);
  const sink = await storage.open(fileOf(10_000));
  await expect(storage.open(fileOf(10_000))).rejects.toThrow('Another page');
  expect(await storage.kept()).toEqual([]);
  sink.release?.();
  await vi.waitFor(() => expect(opfs.locks.size).toBe(0));
  const folder = await opfs.directory.getDirectoryHandle('leat-files');
  const broken = await folder.getDirectoryHandle('broken-0123456789', { create: true });
  const stream = await (await broken.getFileHandle('file.json', { create: true })).createWritable();
  await stream.write(JSON.stringify({ ...fileOf(10_000), id: 'broken-0123456789', total: 11, createdAt: 0 }));
  await stream.close();
  expect((await storage.kept()).map((file) => file.id)).toEqual([id]);
  expect([...folder.directories.keys()]).toEqual([id]);
  now = KEPT_MS_MAX + 1;
  expect(await storage.kept()).toEqual([]);
  expect(folder.directories.size).toBe(0);
});

test('a file without room is refused before it is accepted', async () => {
  const opfs = memoryOpfs({ free: async () => 5_000 });
  await expect(new OpfsStorage(opfs).open(fileOf(10_000))).rejects.toThrow('needs 10000 bytes');
  expect(opfs.locks.size).toBe(0);
  await expect(memoryStorage.open(fileOf(100_000_000))).rejects.toThrow('in memory');
});

test('a reload in the middle continues from the private file system', async () => {
  const room = new SimulatedRoom(5, { bytesPerMs: 1_000 });
  const opfs = memoryOpfs();
  const ada = new SimulatedClient(room, 'ada', SMALL);
  const bob = new SimulatedClient(room, 'bob', { storage: new OpfsStorage(opfs) });
  const bytes = randomBytes(500_000, 5);
  const sent = ada.offer(bytes, 'bob');
  await room.until(() => bob.stateOf(sent) === 'offered');
  await bob.transfers.accept(sent);
  const segments = () => opfs.directory.directories.get('leat-files')?.directories.get(sent)?.files.size ?? 0;
  await room.until(() => segments() > 5);
  bob.link.cut();
  room.links.delete('bob');
  opfs.locks.clear();
  const before = room.sent.length;
  const again = new SimulatedClient(room, 'bob-2', { storage: new OpfsStorage(opfs) });
  await again.transfers.restore();
  await room.until(() => ada.stateOf(sent) === 'done' && again.stateOf(sent) === 'done');
  expect(await again.hashOf(sent)).toBe(hashOf(bytes));
  const chunks = room.sent.slice(before).filter(({ from, message }) => from === 'ada' && message.length > 1_000);
  // Of 489 chunks, at least 5 segments were whole.
  expect(chunks.length).toBeLessThanOrEqual(489 - 5 * SEGMENT_CHUNKS);
  await again.transfers.remove(sent);
  expect(opfs.locks.size).toBe(0);
});

test('a stream gets the file in order, over a path that loses and reorders', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const room = new SimulatedRoom(seed, { loss: 0.05, reorder: 0.2 });
    const [ada, bob] = [new SimulatedClient(room, 'ada', SMALL), new SimulatedClient(room, 'bob', SMALL)];
    const bytes = randomBytes(200_000, seed);
    const written: Uint8Array[] = [];
    let isClosed = false;
    const stream = new WritableStream<Uint8Array>({
      write: (data) => void written.push(data.slice()),
      close: () => {
        isClosed = true;
      },
    });
    const sent = ada.offer(bytes, 'bob');
    await room.until(() => bob.stateOf(sent) === 'offered');
    await bob.transfers.accept(sent, async ({ total }) => new StreamSink(total, stream));
    await room.until(() => ada.stateOf(sent) === 'done' && bob.stateOf(sent) === 'done');
    expect(hashOf(Buffer.concat(written)), `seed ${seed}`).toBe(hashOf(bytes));
    expect(isClosed).toBe(true);
    expect(bob.transfers.result(sent)).toBe(null);
  }
});

test('a stream that fails ends the transfer on both sides', async () => {
  const room = new SimulatedRoom(1);
  const [ada, bob] = [new SimulatedClient(room, 'ada', SMALL), new SimulatedClient(room, 'bob', SMALL)];
  const stream = new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error('the disk is full')) });
  const sent = ada.offer(randomBytes(200_000, 1), 'bob');
  await room.until(() => bob.stateOf(sent) === 'offered');
  await bob.transfers.accept(sent, async ({ total }) => new StreamSink(total, stream));
  await room.until(() => ada.stateOf(sent) === 'failed' && bob.stateOf(sent) === 'failed');
  for (const client of [ada, bob]) expect(client.shown.get(sent)?.errorCode).toBe('STORAGE');
});
