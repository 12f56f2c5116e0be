import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LogEntry } from './log';
import { LogUploader } from './log_sender';

const sender = { peerId: '00000000000000ad', secret: new Uint8Array([1, 2, 3]) };
const entry = (message: string, level: LogEntry['level'] = 'info', error?: Error): LogEntry => ({
  timestamp: 7,
  level,
  context: { roomId: 'millpond' },
  message,
  ...(error ? { error } : {}),
});

interface Batch {
  peerId: string;
  secret: string;
  dropped: number;
  entries: { message: string; level: string; error?: { name: string } }[];
}

describe('log entries', () => {
  const sent: Batch[] = [];
  let status = 204;
  beforeEach(() => {
    vi.useFakeTimers();
    sent.length = 0;
    status = 204;
    const answer = async (_url: string | URL, init?: RequestInit) => {
      if (status === 0) throw new TypeError('no network');
      sent.push(JSON.parse(String(init?.body)) as Batch);
      return { status } as Response;
    };
    vi.stubGlobal('fetch', answer);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
  const later = () => vi.advanceTimersByTimeAsync(10_000);

  test('are sent in one batch, from a level on, with their errors', async () => {
    const logs = new LogUploader('https://leat.example', 'info', () => sender);
    logs.add(entry('not sent', 'debug'));
    logs.add(entry('joined'));
    logs.add(entry('failed', 'error', new TypeError('no track')));
    expect(sent).toEqual([]);
    await later();
    expect(sent).toMatchObject([{ peerId: sender.peerId, secret: 'AQID', dropped: 0 }]);
    expect(sent[0]?.entries).toMatchObject([
      { timestamp: 7, level: 'info', message: 'joined' },
      { level: 'error', message: 'failed', error: { name: 'TypeError', message: 'no track' } },
    ]);
    await later();
    expect(sent).toHaveLength(1);
    expect(logs.waiting).toBe(0);
  });

  test('wait for the join', async () => {
    let joined: typeof sender | null = null;
    const logs = new LogUploader(undefined, 'debug', () => joined);
    logs.add(entry('connecting', 'debug'));
    await later();
    expect(sent).toEqual([]);
    joined = sender;
    await later();
    expect(sent).toHaveLength(1);
  });

  test('that the server cannot take now are sent later, others are given up', async () => {
    const logs = new LogUploader(undefined, 'debug', () => sender);
    logs.add(entry('one'));
    for (status of [0, 429, 503]) {
      await later();
      expect(logs.waiting).toBe(1);
    }
    status = 403;
    await later();
    expect(logs.waiting).toBe(0);
  });

  test('are bounded in number and length, and what is dropped is counted', async () => {
    const logs = new LogUploader(undefined, 'debug', () => sender);
    for (let number = 0; number < 210; number += 1) logs.add(entry(`${number} ${'x'.repeat(2_000)}`));
    expect(logs.waiting).toBe(200);
    for (let round = 0; round < 6; round += 1) await later();
    expect(logs.waiting).toBe(0);
    expect(sent.map(({ dropped }) => dropped)).toEqual([10, 0, 0, 0, 0, 0]);
    expect(sent.flatMap(({ entries }) => entries)).toHaveLength(200);
    for (const batch of sent) expect(JSON.stringify(batch).length).toBeLessThan(48 * 1024);
  });

  test('are sent by a beacon when the page closes', () => {
    const beacons: unknown[] = [];
    vi.stubGlobal('navigator', { sendBeacon: (url: unknown, body: unknown) => beacons.push([url, body]) > 0 });
    const logs = new LogUploader('https://leat.example', 'debug', () => sender);
    logs.flush();
    expect(beacons).toEqual([]);
    logs.add(entry('left'));
    logs.flush();
    logs.flush();
    expect(beacons).toEqual([[new URL('https://leat.example/client-logs'), expect.stringContaining('"message":"left"')]]);
  });
});
