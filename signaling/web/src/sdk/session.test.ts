import { expect, test } from 'vitest';
import { next, type SessionEvent, type SessionState } from './session';

const states: SessionState[] = ['Handshaking', 'Negotiating', 'Connected', 'Reconnecting', 'Ended'];
const events: SessionEvent[] = ['AUTH_VALID', 'OFFER_ACCEPTED', 'ICE_DISCONNECT', 'ICE_RESTART', 'CLIENT_DISCONNECT'];

/** The figure at the top of session.ts, as a table; every pair that is not here leads nowhere. */
const table: Record<string, SessionState> = {
  'Handshaking AUTH_VALID': 'Negotiating',
  'Negotiating OFFER_ACCEPTED': 'Connected',
  'Connected ICE_DISCONNECT': 'Reconnecting',
  'Reconnecting ICE_RESTART': 'Connected',
  'Handshaking CLIENT_DISCONNECT': 'Ended',
  'Negotiating CLIENT_DISCONNECT': 'Ended',
  'Connected CLIENT_DISCONNECT': 'Ended',
  'Reconnecting CLIENT_DISCONNECT': 'Ended',
};

test.each(states.flatMap((state) => events.map((event) => [state, event] as const)))('%s on %s', (state, event) => {
  expect(next(state, event)).toBe(table[`${state} ${event}`] ?? null);
});

test('a call with an outage walks the whole figure', () => {
  const walked: (SessionState | null)[] = ['Handshaking'];
  for (const event of events) walked.push(next(walked.at(-1) as SessionState, event));
  expect(walked).toEqual(['Handshaking', 'Negotiating', 'Connected', 'Reconnecting', 'Connected', 'Ended']);
});
