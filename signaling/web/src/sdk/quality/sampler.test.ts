import { beforeEach, expect, test } from 'vitest';
import { type Measured, measuredOf, QualitySampler } from './sampler';
import type { Report } from './samples';

let owner: object | null;
let received: Map<string, number>;
let row: { timestamp: number; packetsReceived: number; packetsLost: number };
let changes: number;
let sampler: QualitySampler;

const empty = new Map() as unknown as Report;
const report = () => new Map([['in', { id: 'in', type: 'inbound-rtp', kind: 'audio', ssrc: 7, ...row }]]) as unknown as Report;
const measured = (): Measured | null =>
  owner && { received, sent: new Map(), owner, getStats: async (direction) => (direction === 'recv' ? report() : empty) };

beforeEach(() => {
  owner = {};
  received = new Map([['bob-microphone', 7]]);
  row = { timestamp: 0, packetsReceived: 0, packetsLost: 0 };
  changes = 0;
  sampler = new QualitySampler(measured, () => {
    changes += 1;
  });
});

/** A round after two seconds with this many packets. */
async function round(packetsReceived: number, packetsLost = 0): Promise<void> {
  row = {
    timestamp: row.timestamp + 2_000,
    packetsReceived: row.packetsReceived + packetsReceived,
    packetsLost: row.packetsLost + packetsLost,
  };
  await sampler.sample();
}

test('a source has a level after the second sample', async () => {
  await round(100);
  expect(sampler.now.size).toBe(0);
  await round(100);
  expect(sampler.now.get('bob-microphone')).toMatchObject({ level: 'good', series: [{ packetLoss: 0 }] });
  expect(changes).toBe(2);
});

test('loss lowers the level, and the series shows it', async () => {
  for (const lost of [0, 0, 40, 40]) await round(60, lost);
  const quality = sampler.now.get('bob-microphone');
  expect(quality?.level).toBe('poor');
  expect(quality?.series.map(({ packetLoss }) => packetLoss)).toEqual([0, 40 / 60, 40 / 60]);
});

test('a source that pauses keeps its level', async () => {
  for (const lost of [0, 60, 60]) await round(40, lost);
  await round(0);
  expect(sampler.now.get('bob-microphone')).toMatchObject({ level: 'poor' });
  expect(sampler.now.get('bob-microphone')?.series).toHaveLength(2);
});

test('the series is bounded', async () => {
  for (let index = 0; index < 70; index += 1) await round(100);
  expect(sampler.now.get('bob-microphone')?.series).toHaveLength(60);
});

test('a source that ended has no quality any more', async () => {
  await round(100);
  await round(100);
  received = new Map();
  await sampler.sample();
  expect(sampler.now.size).toBe(0);
});

test('statistics of transports that were replaced meanwhile are not used', async () => {
  await round(100);
  const reading = round(100);
  owner = {};
  await reading;
  expect(sampler.now.size).toBe(0);
  owner = null;
  await sampler.sample();
  expect(changes).toBe(2);
});

test('the sources of a call are measured by SSRC and by section', async () => {
  const consumer = (ssrc?: number) => ({ consumer: { rtpParameters: { encodings: [{ ssrc }] } } });
  const producer = { producer: { rtpParameters: { mid: '0' } } };
  const media = {
    incoming: new Map([
      ['v1', consumer(9)],
      ['v2', consumer()],
    ]),
    outgoing: new Map([['camera', producer]]),
    getStats: async () => empty,
  };
  const found = measuredOf(media as never);
  expect([...found.received, ...found.sent]).toEqual([
    ['v1', 9],
    ['camera', '0'],
  ]);
});
