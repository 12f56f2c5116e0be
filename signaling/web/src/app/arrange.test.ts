import { expect, test } from 'vitest';
import { arrange, largeOf, nextSpeaker, PAGE_TILES_MAX, type TileRef } from './arrange';

const SPACE = { width: 1_200, height: 700 };
const person = (id: string): TileRef => ({ id, peerId: id, isScreen: false, isSelf: id === 'self' });
const screen = (id: string, of: string): TileRef => ({ id, peerId: of, isScreen: true, isSelf: of === 'self' });
const people = (count: number) => Array.from({ length: count }, (_, index) => person(`p${index}`));
const none = new Set<string>();

test('pins come before screens, and screens before the person who speaks', () => {
  const tiles = [screen('s', 'bob'), person('bob'), person('eve'), person('self')];
  expect(largeOf(tiles, 'grid', new Set(['eve', 'self', 'gone']), 'bob')).toEqual(['eve', 'self']);
  expect(largeOf(tiles, 'grid', new Set(['gone']), null)).toEqual(['s']);
  expect(largeOf(tiles, 'speaker', none, 'eve')).toEqual(['s']);
  const cameras = tiles.slice(1);
  expect(largeOf(cameras, 'speaker', none, 'eve')).toEqual(['eve']);
  expect(largeOf(cameras, 'speaker', none, null)).toEqual(['bob']);
  expect(largeOf(cameras, 'grid', none, 'eve')).toEqual([]);
  expect(largeOf([person('self')], 'speaker', none, null)).toEqual([]);
  // The own screen is not.
  expect(largeOf([screen('mine', 'self'), ...cameras], 'grid', none, null)).toEqual([]);
});

test('the speaker stays during silence and while others speak too', () => {
  const peers = ['bob', 'eve'];
  expect(nextSpeaker(null, [], peers)).toBe(null);
  expect(nextSpeaker(null, ['eve', 'bob'], peers)).toBe('eve');
  expect(nextSpeaker('eve', [], peers)).toBe('eve');
  expect(nextSpeaker('eve', ['bob', 'eve'], peers)).toBe('eve');
  expect(nextSpeaker('eve', ['bob'], peers)).toBe('bob');
  expect(nextSpeaker('eve', ['eve'], ['bob'])).toBe(null);
});

test('tiles are inside the space and do not overlap', () => {
  const inside = (count: number, large: string[], space = SPACE) => {
    const { places } = arrange(people(count), large, 0, space, 12);
    const all = [...places.values()];
    for (const { left, top, width, height } of all) {
      expect(Math.min(left, top)).toBeGreaterThanOrEqual(0);
      expect(left + width).toBeLessThanOrEqual(space.width);
      expect(top + height).toBeLessThanOrEqual(space.height);
      expect(width * height).toBeGreaterThan(0);
    }
    const apart = (a: (typeof all)[0], b: (typeof all)[0]) =>
      a.left + a.width <= b.left || b.left + b.width <= a.left || a.top + a.height <= b.top || b.top + b.height <= a.top;
    expect(all.every((a, index) => all.slice(index + 1).every((b) => apart(a, b)))).toBe(true);
    return places;
  };
  for (const count of [1, 2, 3, 5, 16]) inside(count, []);
  for (const large of [['p0'], ['p0', 'p3'], ['p0', 'p1', 'p2']]) {
    const places = inside(12, large);
    const small = places.get('p4');
    for (const id of large) expect(places.get(id)?.height).toBeGreaterThan(1.5 * (small?.height ?? Number.POSITIVE_INFINITY));
    expect([...places].filter(([, { isLarge }]) => isLarge).map(([id]) => id)).toEqual(large);
  }
  inside(6, ['p0'], { width: 360, height: 640 });
});

test('more than 16 tiles are on pages, and each is on one of them', () => {
  const tiles = people(50);
  const first = arrange(tiles, [], 0, SPACE, 12);
  expect([first.places.size, first.page, first.pages]).toEqual([PAGE_TILES_MAX, 0, 4]);
  const ids = [0, 1, 2, 3].flatMap((page) => [...arrange(tiles, [], page, SPACE, 12).places.keys()]);
  expect(ids).toEqual(tiles.map(({ id }) => id));
  // The page of tiles that are gone is the last one.
  expect(arrange(people(20), [], 3, SPACE, 12)).toMatchObject({ page: 1, pages: 2 });
  // The large tile is on each page of the strip.
  const strips = [0, 1].map((page) => arrange(tiles, ['p9'], page, SPACE, 12));
  expect(strips.every(({ places }) => places.get('p9')?.isLarge)).toBe(true);
  expect(strips[0]?.places.has('p0') && !strips[1]?.places.has('p0')).toBe(true);
});
