import { afterEach, beforeEach, expect, test } from 'vitest';
import { ErrorCode } from '../../gen/signal_pb';
import { FakeServer, refusal } from '../testing';
import { checkConnection } from './connection_check';
import { type CheckResult, pathNames } from './report';

// Node.js has neither devices nor WebRTC: tests/browser/check.test.js has the paths.
const without = ['microphone', 'camera'] as const;

let server: FakeServer;
let url: string;

beforeEach(async () => {
  server = new FakeServer();
  url = await server.listen();
});
afterEach(() => server.close());

const stateOf = (results: readonly CheckResult[], wanted: string) => {
  const { status, reason } = results.find(({ name }) => name === wanted) ?? {};
  return { status, reason };
};

test('a room that the server refuses is named with the reason, and no path is checked', async () => {
  server.instead.joinRoom = () => refusal(ErrorCode.TOKEN_EXPIRED);
  const { results, verdict } = await checkConnection({ url, without, room: 'millpond', token: 'a.b.c' });
  expect(stateOf(results, 'signaling').status).toBe('ok');
  expect(stateOf(results, 'room')).toEqual({ status: 'failed', reason: 'token' });
  for (const name of pathNames) expect(stateOf(results, name), name).toEqual({ status: 'skipped', reason: 'notChecked' });
  expect(stateOf(results, 'camera').status).toBe('skipped');
  expect(verdict).toBe('notJoined');
  expect(server.last('joinRoom')).toMatchObject({ room: 'millpond', token: 'a.b.c' });
});

test.each([
  ['a locked room', refusal(ErrorCode.ROOM_LOCKED), { status: 'failed', reason: 'refused' }],
  ['a waiting room', { case: 'waiting', value: {} } as const, { status: 'warning', reason: 'waitingRoom' }],
])('%s is not checked', async (_, answer, expected) => {
  server.instead.joinRoom = () => answer;
  const { results } = await checkConnection({ url, without });
  expect(stateOf(results, 'room')).toEqual(expected);
});

test('without a room, each check joins one of its own, leaves it, and reports every change', async () => {
  const seen: string[] = [];
  const follow = (results: readonly CheckResult[]) => seen.push(stateOf(results, 'room').status ?? '');
  for (let index = 0; index < 2; index += 1) await checkConnection({ url, without }, follow);
  const rooms = server.asked.flatMap((payload) => (payload.case === 'joinRoom' ? [payload.value.room] : []));
  expect(new Set(rooms).size).toBe(2);
  expect(rooms.every((room) => /^check-[0-9a-f]{16}$/.test(room))).toBe(true);
  expect(server.count('leave')).toBe(2);
  expect(seen).toEqual(expect.arrayContaining(['waiting', 'running', 'ok']));
});

test('a browser without WebRTC is unsupported', async () => {
  const { results } = await checkConnection({ url, without });
  expect(stateOf(results, 'udp')).toEqual({ status: 'failed', reason: 'unsupported' });
});
