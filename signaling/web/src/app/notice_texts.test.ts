import { expect, test } from 'vitest';
import { noticeText as englishText } from '../sdk';
import { catalogues } from './i18n';
import { failureText, noticeText } from './notice_texts';

const { en, de } = catalogues;

test.each([
  [
    'EVICTED',
    'an administrator removed you from the room',
    'You are no longer in the call: an administrator removed you from the room.',
  ],
  ['EVICTED', 'Please mute first.', 'You are no longer in the call: Please mute first.'],
  ['NOT_ADMITTED', 'not today', 'You could not join: not today.'],
  ['ROOM_LOCKED', 'locked', 'This room is locked: only administrators may join now.'],
  ['TOKEN_EXPIRED', 'the token has expired', 'The token has expired. Get a new one.'],
  // Without a text in the catalogue.
  ['', 'no capabilities', 'no capabilities'],
  ['toString', 'a property of every object', 'a property of every object'],
])('the failure %s, %s', (code, reason, text) => {
  expect(failureText(en, { code, reason })).toBe(text);
});

test('a notice of the call has the words of the sdk in English, and others in German', () => {
  const source = 'camera';
  const cause = { code: 'STILL_TRYING', reason: 'No port is free.' } as const;
  for (const notice of [{ code: 'MUTED', source } as const, { code: 'CANNOT_PLAY', source, name: 'Bob' } as const, cause]) {
    const content = { about: 'call', notice } as const;
    expect(noticeText(en, content)).toBe(englishText(notice));
    expect(noticeText(de, content)).not.toBe(englishText(notice));
  }
  expect(noticeText(de, { about: 'call', notice: { code: 'MUTED', source } })).toContain('Ihre Kamera');
});

test('other notices', () => {
  expect(noticeText(de, 'as it is')).toBe('as it is');
  expect(noticeText(en, { about: 'fileOffered', name: null, file: 'plan.pdf' })).toContain(
    'A participant offers you the file plan.pdf.',
  );
  expect(noticeText(de, { about: 'waiting', name: 'Ada' })).toBe('Ada wartet auf Einlass.');
});
