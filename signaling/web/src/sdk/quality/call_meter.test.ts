import { describe, expect, test } from 'vitest';
import { CallMeter } from './call_meter';
import { measure } from './measure';
import type { ReceivedSource, Round } from './sampler';
import type { Sample } from './samples';

const sample = (rest: Partial<Sample> = {}): Sample => ({
  kind: 'audio',
  at: 2_000,
  packets: 100,
  packetsLost: 2,
  bytes: 9_000,
  jitterMs: 4,
  rttMs: 30,
  freezes: 0,
  frozenMs: 0,
  ...rest,
});

const source = (before: Sample | undefined, now: Sample): ReceivedSource => ({
  before,
  now,
  measurement: before ? measure(before, now) : null,
});

const round = (received: ReceivedSource[], rest: Partial<Round> = {}): Round => ({
  received,
  sentRttMs: [],
  relayed: null,
  ...rest,
});

/** A meter of a client that joined in 250 ms. */
function joined(hasVideo = false): CallMeter {
  const meter = new CallMeter();
  meter.begin(1_000);
  meter.onJoined(1_250, hasVideo);
  return meter;
}

test('there is no report before the join', () => {
  const meter = new CallMeter();
  meter.begin(1_000);
  expect(meter.report).toBe(null);
});

test('what was not measured is absent', () => {
  expect(joined().report).toEqual({ joinMs: 250, freezes: 0, frozenMs: 0, packetsReceived: 0n, packetsLost: 0n });
});

describe('the first picture', () => {
  test('is counted from the beginning of the join if others sent video then', () => {
    const meter = joined(true);
    expect(meter.isAwaitingPicture).toBe(true);
    meter.onPicture(1_700);
    meter.onPicture(9_000);
    expect(meter.report?.firstFrameMs).toBe(700);
    expect(meter.isAwaitingPicture).toBe(false);
  });

  test('is counted from the first video of the others if there was none', () => {
    const meter = joined();
    expect(meter.isAwaitingPicture).toBe(false);
    meter.onVideo(61_000);
    meter.onVideo(62_000);
    meter.onPicture(61_400);
    expect(meter.report?.firstFrameMs).toBe(400);
  });

  test('is counted again for another place in the room', () => {
    const meter = joined(true);
    meter.onPicture(1_700);
    meter.begin(5_000);
    expect(meter.report).toBe(null);
    meter.onJoined(5_100, true);
    expect(meter.report).toMatchObject({ joinMs: 100, firstFrameMs: undefined });
  });
});

test('counters add up over rounds, sources and new transports', () => {
  const meter = joined();
  const first = sample();
  const second = sample({ at: 4_000, packets: 200, packetsLost: 5 });
  const again = sample({ at: 6_000, packets: 50, packetsLost: 1 });
  const video = sample({ kind: 'video', packets: 300, packetsLost: 0, freezes: 2, frozenMs: 640 });
  meter.add(round([source(undefined, first), source(undefined, video)]));
  meter.add(round([source(first, second)]));
  meter.add(round([source(second, again)]));
  expect(meter.report).toMatchObject({ packetsReceived: 550n, packetsLost: 6n, freezes: 2, frozenMs: 640 });
});

test('jitter, round trip and opinion score are means of the measurements', () => {
  const meter = joined();
  const first = sample();
  const second = sample({ at: 4_000, packets: 200, jitterMs: 2, rttMs: 10 });
  const third = sample({ at: 6_000, packets: 300, jitterMs: 4, rttMs: 20 });
  meter.add(round([source(first, second)], { sentRttMs: [60] }));
  meter.add(round([source(second, third)]));
  expect(meter.report).toMatchObject({ jitterUs: 3_000, roundTripUs: 30_000 });
  expect(meter.report?.mosHundredths).toBeGreaterThan(400);
  expect(meter.report?.mosHundredths).toBeLessThanOrEqual(450);
});

test('the path may change to a relay, and is kept while there is none', () => {
  const meter = joined();
  meter.add(round([], { relayed: false }));
  meter.add(round([], { relayed: true }));
  meter.add(round([]));
  expect(meter.report?.relayed).toBe(true);
});

test('no value is above what the server accepts', () => {
  const meter = new CallMeter();
  meter.begin(0);
  meter.onJoined(1e12, false);
  meter.onVideo(0);
  meter.onPicture(1e12);
  const before = sample();
  const now = sample({ at: 4_000, packets: 1e300, packetsLost: 1e300, freezes: 1e9, frozenMs: 1e12, jitterMs: 1e9, rttMs: 1e9 });
  meter.add(round([source(before, now)]));
  expect(meter.report).toMatchObject({
    joinMs: 3_600_000,
    firstFrameMs: 86_400_000,
    freezes: 1_000_000,
    frozenMs: 4_294_967_295,
    packetsReceived: BigInt(Number.MAX_SAFE_INTEGER),
    packetsLost: BigInt(Number.MAX_SAFE_INTEGER),
    jitterUs: 60_000_000,
    roundTripUs: 60_000_000,
    mosHundredths: 100,
  });
});
