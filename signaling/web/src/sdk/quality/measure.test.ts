import { describe, expect, test } from 'vitest';
import {
  levelAfter,
  levelOf,
  type Measurement,
  measure,
  mosOf,
  packetLoss,
  type QualityLevel,
  ratingOf,
  type Steady,
  worstOf,
} from './measure';
import type { Sample } from './samples';

const sample = (rest: Partial<Sample> = {}): Sample => ({
  kind: 'video',
  at: 10_000,
  packets: 1_000,
  packetsLost: 10,
  bytes: 500_000,
  jitterMs: 3,
  rttMs: 20,
  freezes: 1,
  frozenMs: 200,
  ...rest,
});

describe('a measurement', () => {
  test('is of the interval between two samples', () => {
    const now = sample({ at: 12_000, packets: 1_190, packetsLost: 20, bytes: 750_000, jitterMs: 7, freezes: 3, frozenMs: 700 });
    expect(measure(sample(), now)).toEqual({
      at: 12_000,
      jitterMs: 7,
      packetLoss: 10 / 190,
      rttMs: 20,
      bitrateBps: 1_000_000,
      freezes: 2,
      frozenShare: 0.25,
      mos: null,
    });
  });

  test.each<[string, Partial<Sample>]>([
    ['nothing was sent', { at: 12_000 }],
    ['the counters began again', { at: 12_000, packets: 40, packetsLost: 0 }],
    ['the report is the same one', { packets: 1_100 }],
  ])('is not possible if %s', (_, now) => {
    expect(measure(sample(), sample(now))).toBe(null);
  });

  test('does not count a packet that arrived late as negative loss', () => {
    expect(measure(sample(), sample({ at: 12_000, packets: 1_200, packetsLost: 8 }))?.packetLoss).toBe(0);
  });

  test('of sound has an opinion score', () => {
    const before = sample({ kind: 'audio', packetsLost: 0 });
    const score = (packetsLost: number) =>
      measure(before, { ...before, at: 12_000, packets: 1_100 - packetsLost, packetsLost })?.mos ?? 0;
    expect(score(0)).toBeGreaterThan(4.3);
    expect(score(3)).toBeLessThan(score(1));
    expect(score(50)).toBeLessThan(2);
  });
});

test('packet loss is lost / received', () => {
  expect(packetLoss({ packetsLost: 5, packetsReceived: 100 })).toBe(0.05);
  expect(packetLoss({ packetsLost: 0, packetsReceived: 0 })).toBe(0);
  expect(packetLoss({ packetsLost: 3, packetsReceived: 0 })).toBe(Number.POSITIVE_INFINITY);
});

describe('E-model', () => {
  // ITU-T G.107 annex B, table B.1: a rating and its opinion score.
  test.each([
    [90, 4.34],
    [80, 4.03],
    [70, 3.6],
    [60, 3.1],
    [50, 2.58],
    [0, 1],
    [-5, 1],
    [100, 4.5],
  ])('rating %i has the opinion score %d', (rating, mos) => {
    expect(mosOf(rating)).toBeCloseTo(mos, 1);
  });

  test.each([
    ['a perfect path', { missing: 0, jitterMs: 0, rttMs: 0 }, 93.2 - 0.024 * 40],
    ['300 ms in each direction', { missing: 0, jitterMs: 0, rttMs: 520 }, 93.2 - 0.024 * 300 - 0.11 * (300 - 177.3)],
    ['10 % loss', { missing: 0.1, jitterMs: 0, rttMs: 0 }, 93.2 - 0.024 * 40 - 47.5],
    ['nothing arrives', { missing: 1, jitterMs: 200, rttMs: 1_000 }, 0],
  ])('%s', (_, path, rating) => {
    expect(ratingOf(path)).toBeCloseTo(rating, 6);
  });

  test('an opinion score is between 1 and 4.5, and falls with loss, jitter and delay', () => {
    for (let missing = 0; missing < 1; missing += 0.05) {
      for (let ms = 0; ms < 1_000; ms += 50) {
        const at = (more: Partial<Parameters<typeof ratingOf>[0]>) =>
          mosOf(ratingOf({ missing, jitterMs: ms / 10, rttMs: ms, ...more }));
        expect(at({})).toBeGreaterThanOrEqual(1);
        expect(at({})).toBeLessThanOrEqual(4.5);
        expect(at({ missing: missing + 0.05 })).toBeLessThanOrEqual(at({}));
        expect(at({ jitterMs: ms / 10 + 20 })).toBeLessThanOrEqual(at({}));
        expect(at({ rttMs: ms + 100 })).toBeLessThanOrEqual(at({}));
      }
    }
  });
});

const measured = (rest: Partial<Measurement>): Measurement => ({
  at: 0,
  jitterMs: 0,
  packetLoss: 0,
  rttMs: 20,
  bitrateBps: 1_000_000,
  freezes: 0,
  frozenShare: 0,
  mos: null,
  ...rest,
});

test.each<[QualityLevel, Partial<Measurement>]>([
  ['good', {}],
  ['good', { packetLoss: 0.02 }],
  ['good', { rttMs: null }],
  ['fair', { packetLoss: 0.05 }],
  ['fair', { rttMs: 600 }],
  ['fair', { freezes: 1, frozenShare: 0.05 }],
  ['poor', { packetLoss: 0.2 }],
  ['poor', { packetLoss: Number.POSITIVE_INFINITY }],
  ['poor', { freezes: 1, frozenShare: 0.5 }],
  ['good', { mos: 4.3, packetLoss: 0.05 }],
  ['fair', { mos: 3.5 }],
  ['poor', { mos: 2.9 }],
])('the level is %s for %o', (level, measurement) => {
  expect(levelOf(measured(measurement))).toBe(level);
});

describe('a steady level', () => {
  const shown = (...levels: QualityLevel[]) => {
    const all: QualityLevel[] = [];
    let steady: Steady | null = null;
    for (const level of levels) {
      steady = levelAfter(steady, level);
      all.push(steady.level);
    }
    return all;
  };

  test('begins with the first measurement', () => {
    expect(shown('poor')).toEqual(['poor']);
  });

  test('falls after two worse measurements in a row', () => {
    expect(shown('good', 'poor', 'poor')).toEqual(['good', 'good', 'poor']);
    expect(shown('good', 'poor', 'good', 'poor', 'good')).toEqual(['good', 'good', 'good', 'good', 'good']);
  });

  test('rises by one step after four better measurements in a row', () => {
    expect(shown('poor', ...Array(8).fill('good'))).toEqual([...Array(4).fill('poor'), ...Array(4).fill('fair'), 'good']);
    expect(shown('poor', 'good', 'good', 'good', 'poor', 'good').at(-1)).toBe('poor');
  });

  test('a better and a worse measurement do not add up', () => {
    expect(shown('fair', 'poor', 'good', 'poor', 'good', 'poor').at(-1)).toBe('fair');
  });
});

test('the worst of several levels', () => {
  expect(worstOf(['good', null, 'fair'])).toBe('fair');
  expect(worstOf(['poor', 'good'])).toBe('poor');
  expect(worstOf([null])).toBe(null);
});
