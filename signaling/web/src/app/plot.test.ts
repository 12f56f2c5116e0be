import { expect, test } from 'vitest';
import { PLOT, points, topOf } from './plot';

test('the newest value is at the right edge, and the largest at the top', () => {
  expect(points([0, 5, 10], 10, 3)).toBe(`0,${PLOT.height} ${PLOT.width / 2},${PLOT.height / 2} ${PLOT.width},0`);
  expect(points([10], 10, 61)).toBe(`${PLOT.width},0`);
  expect(points([], 10, 61)).toBe('');
});

test('values outside the plot are cut', () => {
  expect(points([Number.POSITIVE_INFINITY, -1], 10, 2)).toBe(`0,0 ${PLOT.width},${PLOT.height}`);
});

test('small values do not fill the plot, and an infinite one does not empty it', () => {
  expect(topOf([1, 2], 50)).toBe(50);
  expect(topOf([1, 80, Number.POSITIVE_INFINITY], 50)).toBe(80);
  expect(topOf([], 50)).toBe(50);
});
