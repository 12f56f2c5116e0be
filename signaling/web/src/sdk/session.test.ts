import { expect, test } from 'vitest';
import { eventDue, next, type SessionEvent, type SessionState } from './session';

const states: SessionState[] = ['Handshaking', 'Negotiating', 'Connected', 'Reconnecting', 'Ended'];
const events: SessionEvent[] = ['AUTH_VALID', 'OFFER_ACCEPTED', 'ICE_DISCONNECT', 'ICE_RESTART', 'CLIENT_DISCONNECT'];

/** The figure at the top of session.ts, as a table. Other pairs have no next state. */
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

test('a call with an outage goes through all states', () => {
  const walked: (SessionState | null)[] = ['Handshaking'];
  for (const event of events) walked.push(next(walked.at(-1) as SessionState, event));
  expect(walked).toEqual(['Handshaking', 'Negotiating', 'Connected', 'Reconnecting', 'Connected', 'Ended']);
});

test('the event due follows from the path and from what is sent', () => {
  const up = { pathUp: true, pathSettled: true, restartsDue: [] };
  const lost = { pathUp: false, pathSettled: false, restartsDue: ['send'] };
  const due = (path: typeof lost | typeof up, isSending: boolean) => states.map((state) => eventDue(state, path, isSending));
  expect(due(up, true)).toEqual([null, 'OFFER_ACCEPTED', null, 'ICE_RESTART', null]);
  expect(due(up, false)).toEqual([null, null, null, null, null]);
  expect(due(lost, true)).toEqual([null, 'OFFER_ACCEPTED', 'ICE_DISCONNECT', null, null]);
  expect(due({ ...up, restartsDue: ['recv'] }, true)[3]).toBe(null);
});
