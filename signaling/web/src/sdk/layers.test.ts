import { describe, expect, test } from 'vitest';
import { cameraEncodings, countsOf, modeFor, sharesOf, spatialLayerFor } from './layers';

const policy = (scalabilityMode: string) => ({ scalabilityMode, opusStereo: false, opusDtx: true });

test('VP8 and H264 send each size as a stream, the smallest first', () => {
  for (const codec of ['video/VP8', 'video/h264']) {
    const encodings = cameraEncodings(policy('L3T3_KEY'), codec, 720, false);
    expect(encodings.map(({ scaleResolutionDownBy }) => scaleResolutionDownBy)).toEqual([4, 2, 1]);
    expect(encodings.map(({ scalabilityMode }) => scalabilityMode)).toEqual(['L1T3', 'L1T3', 'L1T3']);
    expect(encodings.map(({ maxBitrate }) => maxBitrate)).toEqual([180_000, 600_000, 2_000_000]);
  }
  expect(cameraEncodings(policy('L1T2'), 'video/VP8', 720, false)).toEqual([{ maxBitrate: 2_000_000, scalabilityMode: 'L1T2' }]);
});

test('VP9 and AV1 send one stream in the given mode, or without layers if the browser does not support it', () => {
  for (const codec of ['video/VP9', 'video/AV1']) {
    expect(cameraEncodings(policy('L3T3_KEY'), codec, 720, true)).toEqual([
      { maxBitrate: 2_000_000, scalabilityMode: 'L3T3_KEY' },
    ]);
    expect(cameraEncodings(policy('L3T3_KEY'), codec, 720, false)).toEqual([{ maxBitrate: 2_000_000 }]);
  }
});

test('a small picture has fewer sizes', () => {
  expect(modeFor('L3T3_KEY', 720)).toBe('L3T3_KEY');
  expect(modeFor('L3T3_KEY', 540)).toBe('L3T3_KEY');
  expect(modeFor('L3T3_KEY', 360)).toBe('L2T3_KEY');
  expect(modeFor('S3T2', 480)).toBe('S2T2');
  expect(modeFor('L3T3_KEY', 180)).toBe('L1T3');
  expect(modeFor('L1T1', 90)).toBe('L1T1');
  expect(cameraEncodings(policy('L3T3'), 'video/VP8', 360, false).map((encoding) => encoding.scaleResolutionDownBy)).toEqual([
    2, 1,
  ]);
});

test('an invalid mode has no layers', () => {
  for (const mode of [undefined, '', 'T3', 'L0T1', 'VP8']) expect(countsOf(mode)).toEqual({ spatial: 1, temporal: 1 });
  expect(countsOf('L2T3_KEY_SHIFT')).toEqual({ spatial: 2, temporal: 3 });
});

describe('the layer for a tile', () => {
  test.each([
    [0, 0],
    [180, 0],
    [225, 0],
    [226, 1],
    [450, 1],
    [451, 2],
    [2_000, 2],
  ])('%i lines of three sizes need layer %i', (lines, layer) => expect(spatialLayerFor(lines, 3)).toBe(layer));

  test('always exists', () => {
    for (const layers of [0, 1, 2, 3]) {
      for (const lines of [0, 100, 400, 10_000]) {
        expect(spatialLayerFor(lines, layers)).toBeLessThan(Math.max(1, layers));
      }
    }
  });

  test('grows with the tile', () => {
    let before = 0;
    for (let lines = 0; lines < 1_000; lines += 1) {
      const layer = spatialLayerFor(lines, 3);
      expect(layer).toBeGreaterThanOrEqual(before);
      before = layer;
    }
  });
});

describe('the share that is sent', () => {
  const set = (wanted: number[] | null) => wanted && new Set(wanted);

  test('of several streams: those that have receivers', () => {
    const active = (wanted: number[] | null) => sharesOf([{}, {}, {}], set(wanted)).map((share) => share.active);
    expect(active(null)).toEqual([true, true, true]);
    expect(active([0, 2])).toEqual([true, false, true]);
    expect(active([])).toEqual([false, false, false]);
  });

  test('of one stream with one size: all while it has a receiver', () => {
    expect(sharesOf([{ maxBitrate: 9 }], set([2]))).toEqual([{ active: true }]);
    expect(sharesOf([{ scalabilityMode: 'L1T3' }], set([]))).toEqual([{ active: false }]);
    expect(sharesOf([], set([0]))).toEqual([]);
  });

  const full = { scalabilityMode: 'L3T3_KEY', maxBitrate: 2_000_000 };
  const all = { active: true, scalabilityMode: 'L3T3_KEY', scaleResolutionDownBy: 1, maxBitrate: 2_000_000 };
  test.each([
    [null, all],
    [[0, 1, 2], all],
    [[0, 1, 2, 3, 7], all],
    [[0, 1], { active: true, scalabilityMode: 'L2T3_KEY', scaleResolutionDownBy: 2, maxBitrate: 606_061 }],
    [[0], { active: true, scalabilityMode: 'L1T3', scaleResolutionDownBy: 4, maxBitrate: 183_655 }],
    // Nothing: off, and otherwise unchanged.
    [[], { ...all, active: false }],
  ])('of one stream with several sizes, of which %o are wanted', (wanted, share) =>
    expect(sharesOf([full], set(wanted))).toEqual([share]),
  );

  test('in modes with ratio 1.5, sizes differ by 1.5', () => {
    const [share] = sharesOf([{ scalabilityMode: 'L2T2h' }], set([0]));
    expect(share).toEqual({ active: true, scalabilityMode: 'L1T2', scaleResolutionDownBy: 1.5 });
  });
});
