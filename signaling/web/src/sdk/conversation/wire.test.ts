import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { RoomMessageSchema } from '../../gen/room_pb';
import { handsOf, inOrder, nextOrder, noHands, withHand } from './hands';
import { CHAT_LENGTH_MAX, cleaned, decode, encode, isEmoji, type Message } from './wire';

const wire = (message: object) => toBinary(RoomMessageSchema, create(RoomMessageSchema, { number: 1n, ...message }));

test.each<Message>([
  { number: 1n, to: [], content: { kind: 'chat', text: 'hello\nworld' } },
  { number: 2n, to: ['bob'], content: { kind: 'chat', text: '<b>not bold</b>' } },
  { number: 3n, to: [], content: { kind: 'hand', raised: true, order: 7 } },
  { number: 4n, to: [], content: { kind: 'reaction', emoji: '👍' } },
])('a message is the same after the way to another client: $content.kind', (message) => {
  expect(decode(encode(message))).toEqual(message);
});

test('the longest text fits into a message of the server, whatever its characters', () => {
  const text = '\uffee'.repeat(CHAT_LENGTH_MAX);
  // With room for the number of the message, 64 receivers, and the encryption.
  expect(encode({ number: 1n, to: [], content: { kind: 'chat', text } }).length).toBeLessThan(16_384 - 64 * 18 - 64);
});

test.each<[string, Uint8Array]>([
  ['not a message', new Uint8Array([255, 255])],
  ['no number', toBinary(RoomMessageSchema, create(RoomMessageSchema, { body: { case: 'chat', value: { text: 'x' } } }))],
  ['no body', wire({})],
  ['an empty text', wire({ body: { case: 'chat', value: { text: ' \u202e ' } } })],
  ['a text that is too long', wire({ body: { case: 'chat', value: { text: 'x'.repeat(CHAT_LENGTH_MAX + 1) } } })],
  ['a reaction that is a text', wire({ body: { case: 'reaction', value: { emoji: 'read this' } } })],
])('%s is dropped', (_, bytes) => {
  expect(decode(bytes)).toBe(null);
});

test('characters that hide or turn text are removed', () => {
  expect(cleaned('  a\u202eb\u0007c\td\r\ne ')).toBe('abc\td\ne');
  // Letters of scripts that are written from right to left stay.
  expect(cleaned('שלום')).toBe('שלום');
});

test('an emoji is one picture', () => {
  expect(['👍', '❤️', '👩🏽‍🚀', '🇩🇪', '👨‍👩‍👧‍👦'].map(isEmoji)).toEqual([true, true, true, true, true]);
  expect(['', 'a', '1', '👍👍', 'go 👍'].map(isEmoji)).toEqual([false, false, false, false, false]);
});

test('hands are in the order in which they were raised, which is the same for all', () => {
  const bob = withHand(noHands, 'bob', nextOrder(noHands));
  const cleo = withHand(bob, 'cleo', nextOrder(bob));
  // Dan and Ada raised theirs before they saw each other's.
  const all = withHand(withHand(cleo, 'dan', 3), 'ada', 3);
  expect(inOrder(all)).toEqual(['bob', 'cleo', 'ada', 'dan']);
  expect(inOrder(new Map([...all].reverse()))).toEqual(inOrder(all));
  expect(withHand(all, 'bob', 1)).toBe(all);
  expect(inOrder(withHand(all, 'bob', null))).toEqual(['cleo', 'ada', 'dan']);
  expect(handsOf(all, () => true)).toBe(all);
  expect(inOrder(handsOf(all, (id) => id === 'dan'))).toEqual(['dan']);
});
