import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { eventDue, next, type SessionEvent, type SessionState, transitions } from './session';

const states: SessionState[] = ['Handshaking', 'Negotiating', 'Connected', 'Reconnecting', 'Ended'];
const events: SessionEvent[] = ['AUTH_VALID', 'OFFER_ACCEPTED', 'ICE_DISCONNECT', 'ICE_RESTART', 'CLIENT_DISCONNECT'];

test('the table is that of the server', () => {
  const file = new URL('../../../proto/session_states.json', import.meta.url);
  expect(transitions).toEqual(JSON.parse(readFileSync(file, 'utf8')));
});

test.each(states)('CLIENT_DISCONNECT ends %s, and nothing follows the end', (state) => {
  expect(next(state, 'CLIENT_DISCONNECT')).toBe(state === 'Ended' ? null : 'Ended');
  for (const event of events) expect(next('Ended', event)).toBe(null);
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
