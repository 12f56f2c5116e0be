import { expect, test } from 'vitest';
import { Position } from './position';

const at = (number: bigint) => ({ position: { $typeName: 'leat.signal.v1.NotificationPosition' as const, log: 7n, number } });

test('each notification is applied once, in order', () => {
  const position = new Position();
  position.onJoined(at(3n));
  expect([3n, 4n, 4n, 2n, 5n].map((number) => position.take(number))).toEqual([
    'repeated',
    'apply',
    'repeated',
    'repeated',
    'apply',
  ]);
  expect(position.resume).toEqual({ log: 7n, number: 5n });
});

test('a missing notification is a gap, and a snapshot ends it', () => {
  const position = new Position();
  position.onJoined(at(3n));
  expect(position.take(5n)).toBe('gap');
  position.forget();
  expect(position.resume).toBeUndefined();
  position.onJoined(at(9n));
  expect(position.take(10n)).toBe('apply');
});

test('notifications without a number are always applied', () => {
  const position = new Position();
  position.onJoined({}); // A server that does not number them.
  expect([0n, 0n].map((number) => position.take(number))).toEqual(['apply', 'apply']);
  expect(position.resume).toBeUndefined();
  position.onJoined(at(3n));
  expect(position.take(0n)).toBe('apply');
  expect(position.resume?.number).toBe(3n);
});
