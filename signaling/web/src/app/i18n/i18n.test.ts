import { afterEach, expect, test } from 'vitest';
import { readSettings, useSettings } from '../../stores/useSettings';
import { catalogues, selectLanguage, t } from '.';
import { numberOf, pluralOf } from './format';

const initial = useSettings.getState();
afterEach(() => useSettings.setState(initial));

test('the first wanted language with a catalogue is selected, English otherwise', () => {
  expect(selectLanguage(['de-AT', 'en'])).toBe('de');
  expect(selectLanguage(['eo', 'DE'])).toBe('de');
  expect(selectLanguage(['eo'])).toBe('en');
  expect(selectLanguage([])).toBe('en');
  // Names of properties of every object are no languages.
  expect(selectLanguage(['constructor'])).toBe('en');
});

test('the address decides before the saved choice, and that before the browser', () => {
  const page = { search: '?room=a&lang=de', languages: ['en-GB', 'fr'], saved: () => null };
  expect(readSettings(page).languages).toEqual(['de', 'en-GB', 'fr']);
  const saved = { search: '', languages: ['en-GB'], saved: (key: string) => (key === 'leat.language' ? 'de' : 'light') };
  expect(readSettings(saved)).toEqual({ languages: ['de', 'en-GB'], theme: 'light', shortcuts: true });
  expect(readSettings({ ...saved, saved: () => 'mauve' }).theme).toBe('system');
  expect(readSettings({ ...saved, saved: () => 'off' }).shortcuts).toBe(false);
});

test('another language takes effect at once, and languages can be selected again', () => {
  useSettings.getState().setLanguage('de');
  expect(t()).toBe(catalogues.de);
  useSettings.getState().setLanguage('en');
  expect(t()).toBe(catalogues.en);
});

test('plurals and numbers follow the rules of the language', () => {
  const forms = { one: 'one', few: 'few', many: 'many', other: 'other' };
  expect([0, 1, 2].map((count) => pluralOf('en')(count, forms))).toEqual(['other', 'one', 'other']);
  expect([1, 3, 5].map((count) => pluralOf('pl')(count, forms))).toEqual(['one', 'few', 'many']);
  expect(pluralOf('pl')(3, { other: 'other' })).toBe('other');
  expect(numberOf('en')(1234.56, 1)).toBe('1,234.6');
  expect(numberOf('de')(1234.56, 1)).toBe('1.234,6');
});

/** The texts of a catalogue, each with its path of keys. */
function textsOf(node: unknown, path: string): [string, string][] {
  if (typeof node === 'string') return [[path, node]];
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) => textsOf(value, `${path}.${key}`));
}

test.each(Object.entries(catalogues))('no text of %s is empty', (language, catalogue) => {
  const texts = textsOf(catalogue, language);
  expect(texts.length).toBeGreaterThan(10);
  expect(texts.filter(([, text]) => text.trim() === '')).toEqual([]);
});
