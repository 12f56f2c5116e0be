import { expect, test } from 'vitest';
import { hue, initials } from './names';

test.each([
  ['Ada Lovelace', 'AL'],
  ['ada', 'A'],
  ['  Jean-Luc   de la Fère ', 'JF'],
  ['李 小龙', '李小'],
  ['', '·'],
])('%j is %j', (name, letters) => {
  expect(initials(name)).toBe(letters);
});

test('a hue is between 0 and 359', () => {
  for (const id of ['', 'a', 'peer-1', '🦦']) {
    expect(hue(id)).toBeGreaterThanOrEqual(0);
    expect(hue(id)).toBeLessThan(360);
  }
});
