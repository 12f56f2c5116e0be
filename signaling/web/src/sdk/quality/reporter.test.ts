import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ErrorCode } from '../../gen/signal_pb';
import { SignalError } from '../errors';
import { QualityReporter, type ReporterEvents } from './reporter';
import type { Report } from './samples';

type Sent = Parameters<ReporterEvents['send']>[0];

let sent: Sent[];
let answer: () => Promise<unknown>;
let framesDecoded: number | null;
let reporter: QualityReporter;

const report = () => new Map([['v', { id: 'v', type: 'inbound-rtp', kind: 'video', framesDecoded }]]) as unknown as Report;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  answer = async () => undefined;
  framesDecoded = 0;
  reporter = new QualityReporter({
    send: (value) => {
      sent.push(value);
      return answer();
    },
    received: () => (framesDecoded === null ? null : Promise.resolve(report())),
  });
  reporter.begin();
});

afterEach(() => {
  reporter.stop();
  vi.useRealTimers();
});

test('reports follow five seconds after the join, then every thirty, until the end', async () => {
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sent).toHaveLength(0);
  reporter.onJoined(false);
  await vi.advanceTimersByTimeAsync(5_000 + 2 * 30_000);
  expect(sent).toHaveLength(3);
  expect(sent[0]).toMatchObject({ joinMs: 10_000 });
  reporter.stop();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(sent).toHaveLength(3);
});

test('a resume does not begin the reports again', async () => {
  reporter.onJoined(false);
  await vi.advanceTimersByTimeAsync(4_000);
  reporter.onJoined(false);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sent).toHaveLength(1);
});

test('the first picture is found within a tenth of a second', async () => {
  await vi.advanceTimersByTimeAsync(200);
  reporter.onJoined(true);
  await vi.advanceTimersByTimeAsync(450);
  framesDecoded = 1;
  await vi.advanceTimersByTimeAsync(100);
  expect(reporter.report?.firstFrameMs).toBe(700);
});

test('a picture is not looked for without video, and not for ever', async () => {
  const received = vi.fn(() => Promise.resolve(report()));
  reporter = new QualityReporter({ send: async () => undefined, received });
  reporter.begin();
  reporter.onJoined(false);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(received).not.toHaveBeenCalled();
  reporter.onRoom(true);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(received).toHaveBeenCalledTimes(600);
  reporter.onRoom(true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(received).toHaveBeenCalledTimes(600);
});

test('an older server gets one report only; after another error, the next one follows', async () => {
  const refuse = (code: ErrorCode) => () => Promise.reject(new SignalError({ code, message: 'no', retryAfterMs: 0 } as never));
  answer = refuse(ErrorCode.LIMIT);
  reporter.onJoined(false);
  await vi.advanceTimersByTimeAsync(5_000);
  answer = refuse(ErrorCode.UNSUPPORTED_MESSAGE);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(sent).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(sent).toHaveLength(2);
});
