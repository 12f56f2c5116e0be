import { expect, test } from 'vitest';
import { partsOf } from './links';

const linksOf = (text: string) => partsOf(text).flatMap(({ href }) => (href ? [href] : []));

test('addresses of web pages are links, and the text around them stays', () => {
  expect(partsOf('See https://leat.example/a?b=c#d, please.')).toEqual([
    { text: 'See ', href: null },
    { text: 'https://leat.example/a?b=c#d', href: 'https://leat.example/a?b=c#d' },
    { text: ', please.', href: null },
  ]);
  expect(linksOf('(http://a.example) and HTTPS://B.example/x_(y).')).toEqual(['http://a.example/', 'https://b.example/x_(y)']);
  expect(partsOf('no link')).toEqual([{ text: 'no link', href: null }]);
  expect(partsOf('')).toEqual([]);
});

test.each([
  'javascript:alert(1)',
  'data:text/html,x',
  'xhttps://a.example',
  'https://',
  'https://bank.example@evil.example/',
  '<a href="x">',
  'www.a.example',
])('%s is no link', (text) => {
  expect(linksOf(text)).toEqual([]);
  expect(
    partsOf(text)
      .map((part) => part.text)
      .join(''),
  ).toBe(text);
});
