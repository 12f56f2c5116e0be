import { expect, test } from 'vitest';
import { layout } from './layout';

const GAP = 12;

test('a wide window puts two side by side, a phone puts them one above the other', () => {
  expect(layout(2, 1280, 640, GAP).columns).toBe(2);
  expect(layout(2, 380, 700, GAP).columns).toBe(1);
});

test('four tiles on a laptop are two by two', () => {
  expect(layout(4, 1280, 720, GAP).columns).toBe(2);
});

test.each([1, 2, 3, 4, 5, 7, 9, 12, 16, 25])('%i tiles fit, whatever the window', (tiles) => {
  for (const [width, height] of [
    [1920, 900],
    [1024, 1024],
    [390, 640],
    [320, 200],
  ] as const) {
    const fit = layout(tiles, width, height, GAP);
    const rows = Math.ceil(tiles / fit.columns);
    expect(fit.columns * fit.width + (fit.columns - 1) * GAP).toBeLessThanOrEqual(width);
    expect(rows * fit.height + (rows - 1) * GAP).toBeLessThanOrEqual(height);
    expect(fit.width * fit.height).toBeGreaterThan(0);
  }
});

test('before the window is measured, tiles have no size', () => {
  expect(layout(3, 0, 0, GAP)).toEqual({ columns: 1, width: 0, height: 0 });
});
