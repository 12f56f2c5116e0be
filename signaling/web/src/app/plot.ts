// A series of numbers as the points of an SVG polyline. Pure.

export const PLOT = { width: 120, height: 28 };

/** The newest value is at the right edge. `top` is the value at the upper edge; larger ones are cut. */
export function points(values: readonly number[], top: number, lengthMax: number): string {
  const step = PLOT.width / (lengthMax - 1);
  const start = PLOT.width - step * (values.length - 1);
  const y = (value: number) => PLOT.height * (1 - Math.min(1, Math.max(0, value / top)));
  return values.map((value, index) => `${round(start + step * index)},${round(y(value))}`).join(' ');
}

/** The value at the upper edge: at least `least`, so that noise is not drawn as a mountain. */
export function topOf(values: readonly number[], least: number): number {
  return Math.max(least, ...values.filter(Number.isFinite));
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}
