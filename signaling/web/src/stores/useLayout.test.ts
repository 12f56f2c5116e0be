import { beforeEach, expect, test } from 'vitest';
import { readLayout, useLayout } from './useLayout';

beforeEach(() => useLayout.setState({ mode: 'grid', pins: new Set(), page: 0 }));

test('the mode is that of the browser and the pins are those of the tab; what is not valid is ignored', () => {
  const stored = (mode: string | null, pins: string | null) => readLayout((_, storage) => (storage === 'local' ? mode : pins));
  expect(stored(null, null)).toEqual({ mode: 'grid', pins: new Set() });
  expect(stored('speaker', 'a1 self <b> ')).toEqual({ mode: 'speaker', pins: new Set(['a1', 'self']) });
  expect(stored('mosaic', '')).toEqual({ mode: 'grid', pins: new Set() });
});

test('pins are set and taken off one by one, the oldest of too many is dropped, and the first page is shown again', () => {
  const { togglePin, setPage } = useLayout.getState();
  const pins = () => [...useLayout.getState().pins];
  setPage(3);
  togglePin('a');
  togglePin('b');
  expect(pins()).toEqual(['a', 'b']);
  expect(useLayout.getState().page).toBe(0);
  togglePin('a');
  expect(pins()).toEqual(['b']);
  for (let index = 0; index < 32; index += 1) togglePin(`p${index}`);
  expect(pins()).toHaveLength(32);
  expect(pins()).not.toContain('b');
});
