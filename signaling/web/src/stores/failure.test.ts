import { expect, test } from 'vitest';
import { Evicted, NotAdmitted, SignalError } from '../sdk';
import { failureOf } from './failure';

/** A refusal with this code; the numbers are those of signal.proto. */
const refused = (code: number, message: string) => new SignalError({ code, message, retryAfterMs: 0 });

test.each([
  [
    new Evicted('an administrator removed you from the room'),
    'EVICTED',
    'You are no longer in the call: an administrator removed you from the room.',
  ],
  [new Evicted('Please mute first.'), 'EVICTED', 'You are no longer in the call: Please mute first.'],
  [new NotAdmitted('not today'), 'DENIED', 'You could not join: not today.'],
  [refused(31, 'locked'), 'ROOM_LOCKED', 'This room is locked: only administrators may join now.'],
  [refused(32, 'full'), 'ROOM_FULL', 'This room is full. Try again when a person has left.'],
  [refused(24, 'the token has expired; get a new one'), 'TOKEN_EXPIRED', 'the token has expired; get a new one'],
  [new Error('no capabilities'), '', 'no capabilities'],
])('%s has the code %s', (error, code, message) => {
  expect(failureOf(error)).toEqual({ code, message });
});
