// A call that outlives its first token.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ErrorCode, type JoinRoom } from '../gen/signal_pb';
import { Call } from './call';
import { FakeServer, fakeDevice, madeToken, refusal } from './testing';
import type { TokenSource } from './token';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };

let server: FakeServer;
let url: string;
let call: Call;
let view: CallView;

beforeEach(async () => {
  server = new FakeServer();
  url = await server.listen();
  server.joined = { tokenExpiresAt: 1n };
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

function join(token: TokenSource): void {
  const onView = (now: CallView) => {
    view = now;
  };
  const options = { room: 'millpond', displayName: 'Ada', token, url, makeDevice: () => fakeDevice() };
  call = new Call(options, { onView, onNotice: () => undefined });
  call.join();
}

/** A source of numbered tokens. */
function tokens(lifetimeMs: number) {
  let count = 0;
  return vi.fn(async () => madeToken(Date.now(), lifetimeMs, String(++count)));
}

const given = (source: ReturnType<typeof tokens>) => Promise.all(source.mock.results.map(({ value }) => value));
const online = () => vi.waitFor(() => expect(view.online).toBe(true), SOON);
const isJoined = (count: number) => vi.waitFor(() => expect(server.count('joinRoom')).toBe(count), SOON);

test('a new token is sent on the open socket, and is the one that joins on the next', async () => {
  const source = tokens(600);
  join(source);
  await online();
  await vi.waitFor(() => expect(server.count('refreshToken')).toBeGreaterThanOrEqual(2), SOON);
  server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom);
  server.cut();
  await isJoined(2);
  await online();
  const all = await given(source);
  const { token, resume } = server.last('joinRoom');
  expect(resume?.peerId).toBe('me');
  expect(all.indexOf(token)).toBeGreaterThanOrEqual(2);
  expect(all).toContain(server.last('refreshToken').token);
});

test('a token that has expired at the server is replaced before the next join', async () => {
  const source = tokens(3_600_000);
  join(source);
  await online();
  // For this client's clock it has an hour left.
  server.instead.joinRoom = ({ value }) => {
    const join = value as JoinRoom;
    return server.count('joinRoom') === 2 ? refusal(ErrorCode.TOKEN_EXPIRED) : server.keepAll(join);
  };
  server.cut();
  await isJoined(3);
  await online();
  const [first, second] = await given(source);
  expect(server.asked.flatMap(({ case: kind, value }) => (kind === 'joinRoom' ? [value.token] : []))).toEqual([
    first,
    first,
    second,
  ]);
});

test('a call whose new token is refused too ends', async () => {
  server.instead.joinRoom = () => refusal(ErrorCode.TOKEN_EXPIRED, 'The token expired at noon.');
  const source = tokens(3_600_000);
  join(source);
  await vi.waitFor(() => expect(view.session).toBe('Ended'), SOON);
  expect(view.failure?.message).toBe('The token expired at noon.');
  expect(source).toHaveBeenCalledTimes(1);
  expect(server.count('joinRoom')).toBe(1);
});

test('a first join without a token ends with the reason of the application', async () => {
  join(() => Promise.reject(new Error('You are not logged in.')));
  await vi.waitFor(() => expect(view.session).toBe('Ended'), SOON);
  expect(view.failure?.message).toBe('You are not logged in.');
  expect(server.count('joinRoom')).toBe(0);
});

test('an application that gives no token for a return is asked again', async () => {
  const source = tokens(3_600_000);
  join(source);
  await online();
  server.instead.joinRoom = ({ value }) =>
    server.count('joinRoom') === 2 ? refusal(ErrorCode.TOKEN_EXPIRED) : server.keepAll(value as JoinRoom);
  source.mockRejectedValueOnce(new Error('offline'));
  server.cut();
  await isJoined(3);
  await online();
  expect(source).toHaveBeenCalledTimes(3);
  expect(view.failure).toBe(null);
});

test('a socket that is lost while the application makes a token leads to one join', async () => {
  let give: (token: string) => void = () => undefined;
  const source = vi.fn(
    () =>
      new Promise<string>((done) => {
        give = done;
      }),
  );
  join(source);
  await vi.waitFor(() => expect(source).toHaveBeenCalledTimes(1), SOON);
  server.cut();
  // Until the second socket waits for the same token.
  await vi.waitFor(() => expect(server.connections).toBe(2), SOON);
  await new Promise((done) => setTimeout(done, 50));
  give(madeToken(Date.now(), 3_600_000, ''));
  await online();
  expect(server.count('joinRoom')).toBe(1);
  expect(source).toHaveBeenCalledTimes(1);
});

test('a token that the application replaces is sent, and joins later', async () => {
  join('first');
  await online();
  await call.refreshToken('second');
  expect(server.last('refreshToken').token).toBe('second');
  server.instead.refreshToken = () => refusal(ErrorCode.TOKEN_PERMISSION, 'The token is for a different user.');
  await expect(call.refreshToken('third')).rejects.toThrow('The token is for a different user.');
  server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom);
  server.cut();
  await isJoined(2);
  expect(server.last('joinRoom').token).toBe('second');
});
