import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import { Call } from './call';
import { SignalError } from './errors';
import { Log, type LogEntry, logLine } from './log';
import { FakeServer, fakeDevice, refusal } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };

test('an entry has the fields of the requirement', () => {
  interface Required {
    timestamp: number;
    level: 'debug' | 'info' | 'warn' | 'error';
    context: { roomId?: string; userId?: string; peerId?: string };
    message: string;
    error?: Error;
  }
  expectTypeOf<LogEntry>().toEqualTypeOf<Required>();
});

describe('a log', () => {
  const entries: LogEntry[] = [];
  const log = new Log(
    (entry) => entries.push(entry),
    () => ({ roomId: 'millpond' }),
  );
  beforeEach(() => {
    entries.length = 0;
  });

  test('gives entries with level, context and cause to its sink', () => {
    const error = new TypeError('no track');
    log.write('joined');
    log.write('not sent', 'warn', error);
    log.write('refused', 'error', 'a text');
    expect(entries).toMatchObject([
      { level: 'info', context: { roomId: 'millpond' }, message: 'joined' },
      { level: 'warn', message: 'not sent', error },
      { level: 'error', error: new Error('a text') },
    ]);
    expect('error' in (entries[0] as LogEntry)).toBe(false);
    expect(entries[0]?.timestamp).toBeGreaterThan(Date.UTC(2020));
  });

  test('survives a sink that throws, and needs none', () => {
    const broken = new Log(
      () => {
        throw new Error('disk full');
      },
      () => ({}),
    );
    expect(() => broken.write('joined')).not.toThrow();
    const unread = new Log(undefined, () => {
      throw new Error('not read');
    });
    expect(() => unread.write('joined')).not.toThrow();
  });
});

test('a line has the format of the logs of the server', () => {
  const schema = JSON.parse(readFileSync(join(import.meta.dirname, '../../../../tests/vectors/log/schema.json'), 'utf8'));
  const error = new SignalError({ code: ErrorCode.ROOM_FULL, message: 'full', retryAfterMs: 0 });
  const entry: LogEntry = { timestamp: 1, level: 'warn', context: { roomId: 'a' }, message: 'not joined', error };
  const line = JSON.parse(logLine(entry));
  expect(line.error).toEqual({ name: 'SignalError', message: 'full', stack: error.stack });
  expect(Object.keys(line).toSorted()).toEqual(Object.keys(schema.properties).toSorted());
  expect(Object.keys(line.error).toSorted()).toEqual(Object.keys(schema.properties.error.properties).toSorted());
  expect(schema.properties.level.enum).toContain(line.level);
  expect(Object.keys(JSON.parse(logLine({ ...entry, error: undefined }))).toSorted()).toEqual(schema.required.toSorted());
});

describe('the log of a call', () => {
  let server: FakeServer;
  let call: Call;
  let entries: LogEntry[];
  let view: CallView;

  beforeEach(async () => {
    server = new FakeServer();
    server.joined = { user: 'ada' };
    entries = [];
    const log = (entry: LogEntry) => void entries.push(entry);
    const onView = (now: CallView) => {
      view = now;
    };
    const url = await server.listen();
    call = new Call(
      { room: 'millpond', token: 'secret-token', url, log, makeDevice: fakeDevice },
      { onView, onNotice: () => {} },
    );
  });

  afterEach(async () => {
    await call.leave();
    await server.close();
  });

  test('has the client from the join on, and everything of the history', async () => {
    call.join();
    await vi.waitFor(() => expect(view.session).toBe('Connected'), SOON);
    const connected = entries.find(({ message }) => message === 'OFFER_ACCEPTED: Connected');
    expect(connected).toMatchObject({ level: 'info', context: { roomId: 'millpond', userId: 'ada', peerId: 'me' } });
    expect(entries.map(({ message }) => message)).toEqual(call.history.map(({ what }) => what));
    server.cut();
    await vi.waitFor(() => expect(entries.some(({ level }) => level === 'warn')).toBe(true), SOON);
  });

  test('has the error that ended the call, and no token', async () => {
    server.instead.joinRoom = () => refusal(ErrorCode.ROOM_LOCKED, 'locked');
    call.join();
    await vi.waitFor(() => expect(view.session).toBe('Ended'), SOON);
    const ended = entries.find(({ level }) => level === 'error');
    expect(ended).toMatchObject({ context: { roomId: 'millpond' }, message: 'ended: locked' });
    expect(ended?.error).toBeInstanceOf(SignalError);
    expect(entries.map(logLine).join()).not.toContain('secret-token');
  });
});
