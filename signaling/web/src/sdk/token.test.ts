// When the application is asked for a token, and which token joins. Time is vitest's.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import { SignalError, SocketLost, TokenUnavailable } from './errors';
import { madeToken } from './testing';
import { CallToken, remainingMs, renewalPauseMs, retryPauseMs, timesOf } from './token';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const NOON = Date.UTC(2026, 0, 1, 12);

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
  // Pauses without their random part.
  vi.spyOn(Math, 'random').mockReturnValue(0);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A token that is issued now, or `ageMs` ago. */
const made = (lifetimeMs: number, { ageMs = 0, id = '' } = {}) => madeToken(Date.now() - ageMs, lifetimeMs, id);

/** The tokens that reached the server, and a source that returns numbered tokens. */
function setUp(lifetimeMs: number) {
  const sent: string[] = [];
  const server = { answer: async () => {} };
  let count = 0;
  const source = vi.fn(async () => made(lifetimeMs, { id: String(++count) }));
  const token = new CallToken(source, {
    refresh: async (token) => {
      sent.push(token);
      await server.answer();
    },
    note: () => undefined,
  });
  return { sent, server, source, token };
}

const refusal = new SignalError({ code: ErrorCode.TOKEN_PERMISSION, message: 'another user', retryAfterMs: 0 });

describe('the times of a token', () => {
  test('are its exp and iat', () => {
    expect(timesOf(made(10 * MINUTE))).toEqual({ expiresAt: NOON + 10 * MINUTE, issuedAt: NOON });
  });

  test.each([
    ['no token', ''],
    ['a string that is no token', 'open sesame'],
    ['claims that are no JSON', `e30.${btoa('{')}.`],
    ['claims that are no object', `e30.${btoa('7')}.`],
    ['an exp that is no number', `e30.${btoa('{"exp":"noon"}')}.`],
  ])('cannot be read from %s', (_, token) => {
    expect(timesOf(token)).toBe(null);
  });

  test('are read from a token with a name in another script', () => {
    expect(timesOf(madeToken(NOON, MINUTE, 'Юлия'))?.expiresAt).toBe(NOON + MINUTE);
  });

  test('without iat, the rest is what the clock shows', () => {
    expect(remainingMs({ expiresAt: NOON + MINUTE, issuedAt: null }, NOON)).toBe(MINUTE);
  });

  test('with a clock that is behind, the rest is the lifetime', () => {
    expect(remainingMs({ expiresAt: NOON + MINUTE, issuedAt: NOON }, NOON - DAY)).toBe(MINUTE);
  });
});

test.each([
  [4 * SECOND, 3 * SECOND],
  [4 * MINUTE, 3 * MINUTE],
  [60 * MINUTE, 59 * MINUTE],
])('a token with %i ms left is renewed after %i ms', (remaining, pause) => {
  expect(renewalPauseMs(remaining)).toBe(pause);
});

test('pauses after failures grow up to a minute and a half', () => {
  expect([1, 2, 3].map((failures) => retryPauseMs(failures, 0))).toEqual([1_000, 2_000, 4_000]);
  expect(retryPauseMs(50, 1)).toBe(90_000);
});

test('a call of an hour has a new token before each one ends', async () => {
  const { sent, source, token } = setUp(10 * MINUTE);
  const first = await token.forJoin();
  expect(first.isNew).toBe(true);
  token.onJoined(true);
  await vi.advanceTimersByTimeAsync(9 * MINUTE - 1);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(51 * MINUTE);
  expect(sent).toHaveLength(6);
  expect(new Set([first.token, ...sent]).size).toBe(7);
  // A lost socket: the newest one joins, and the application is not asked.
  expect(await token.forJoin()).toEqual({ token: sent.at(-1), isNew: false });
  expect(source).toHaveBeenCalledTimes(7);
});

test('while the application gives no token, it is asked again with growing pauses', async () => {
  const { sent, source, token } = setUp(4 * MINUTE);
  await token.forJoin();
  token.onJoined(true);
  source.mockRejectedValueOnce(new Error('offline')).mockRejectedValueOnce(new Error('offline'));
  await vi.advanceTimersByTimeAsync(3 * MINUTE);
  expect(source).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(1 * SECOND);
  expect(source).toHaveBeenCalledTimes(3);
  await vi.advanceTimersByTimeAsync(2 * SECOND - 1);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toHaveLength(1);
  // The pauses begin again after a success.
  source.mockRejectedValueOnce(new Error('offline'));
  await vi.advanceTimersByTimeAsync(3 * MINUTE + 1 * SECOND);
  expect(sent).toHaveLength(2);
});

test('an application that does not answer is asked again', async () => {
  const { sent, source, token } = setUp(4 * MINUTE);
  await token.forJoin();
  token.onJoined(true);
  source.mockImplementationOnce(() => new Promise(() => undefined));
  await vi.advanceTimersByTimeAsync(3 * MINUTE + 30 * SECOND);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(1 * SECOND);
  expect(sent).toHaveLength(1);
});

test('a token that the server refuses is not used, and another is requested', async () => {
  const { sent, server, token } = setUp(4 * MINUTE);
  const first = await token.forJoin();
  token.onJoined(true);
  server.answer = () => Promise.reject(refusal);
  await vi.advanceTimersByTimeAsync(3 * MINUTE);
  expect(sent).toHaveLength(1);
  expect((await token.forJoin()).token).toBe(first.token);
  server.answer = async () => {};
  await vi.advanceTimersByTimeAsync(1 * SECOND);
  expect(sent).toHaveLength(2);
  expect((await token.forJoin()).token).toBe(sent[1]);
});

test('a token that was sent on a lost socket joins on the next one', async () => {
  const { sent, server, token } = setUp(4 * MINUTE);
  await token.forJoin();
  token.onJoined(true);
  server.answer = () => Promise.reject(new SocketLost('gone'));
  await vi.advanceTimersByTimeAsync(3 * MINUTE);
  expect(await token.forJoin()).toEqual({ token: sent[0], isNew: false });
});

test('tokens that have ended when they arrive are not requested in a loop', async () => {
  const { source, token } = setUp(0);
  await token.forJoin();
  token.onJoined(true);
  await vi.advanceTimersByTimeAsync(10 * MINUTE);
  // After 1, 2, 4, 8, 16 and 32 seconds, and then every minute.
  expect(source.mock.calls.length).toBeLessThan(20);
  expect(source.mock.calls.length).toBeGreaterThan(10);
});

test('a token that ends in years is not renewed now', async () => {
  const { source, token } = setUp(400 * DAY);
  await token.forJoin();
  token.onJoined(true);
  await vi.advanceTimersByTimeAsync(100 * DAY);
  expect(source).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(300 * DAY);
  expect(source).toHaveBeenCalledTimes(2);
});

test('a server that uses no tokens gets none', async () => {
  const { sent, token } = setUp(1 * MINUTE);
  await token.forJoin();
  token.onJoined(false);
  await vi.advanceTimersByTimeAsync(60 * MINUTE);
  expect(sent).toEqual([]);
});

test('a call that has ended asks for no token', async () => {
  const { source, token } = setUp(1 * MINUTE);
  await token.forJoin();
  token.onJoined(true);
  token.end();
  await vi.advanceTimersByTimeAsync(60 * MINUTE);
  expect(source).toHaveBeenCalledTimes(1);
});

test('a join and a renewal at the same time share one token', async () => {
  const { source, token } = setUp(4 * MINUTE);
  await token.forJoin();
  token.onJoined(true);
  source.mockImplementation(() => new Promise((done) => setTimeout(() => done('new'), 20 * SECOND)));
  await vi.advanceTimersByTimeAsync(3 * MINUTE);
  token.discard();
  const join = token.forJoin();
  await vi.advanceTimersByTimeAsync(20 * SECOND);
  expect(await join).toEqual({ token: 'new', isNew: true });
  expect(source).toHaveBeenCalledTimes(2);
});

describe('a join after the token has ended', () => {
  test('has a new one', async () => {
    const { source, token } = setUp(1 * MINUTE);
    const first = await token.forJoin();
    vi.setSystemTime(NOON + 2 * MINUTE);
    const second = await token.forJoin();
    expect(second.isNew).toBe(true);
    expect(second.token).not.toBe(first.token);
    expect(source).toHaveBeenCalledTimes(2);
  });

  test('has the former one if the application gives none: it is enough to resume', async () => {
    const { source, token } = setUp(1 * MINUTE);
    const first = await token.forJoin();
    vi.setSystemTime(NOON + 2 * MINUTE);
    source.mockRejectedValueOnce(new Error('offline'));
    expect(await token.forJoin()).toEqual({ token: first.token, isNew: false });
  });
});

test('a join without any token fails with the reason of the application', async () => {
  const { source, token } = setUp(1 * MINUTE);
  source.mockRejectedValueOnce(new Error('You are not logged in.'));
  await expect(token.forJoin()).rejects.toThrow(new TokenUnavailable('You are not logged in.', 1_000));
});

test('an application without a function replaces the token itself', async () => {
  const sent: string[] = [];
  const refresh = async (token: string) => void sent.push(token);
  const token = new CallToken('first', { refresh, note: () => undefined });
  expect(await token.forJoin()).toEqual({ token: 'first', isNew: false });
  token.onJoined(true);
  expect(token.discard()).toBe(false);
  await token.replace('second');
  expect(sent).toEqual(['second']);
  expect(await token.forJoin()).toEqual({ token: 'second', isNew: false });
});

test('a replaced token that the server refuses leaves the former one', async () => {
  const token = new CallToken('first', { refresh: () => Promise.reject(refusal), note: () => undefined });
  await expect(token.replace('second')).rejects.toThrow('another user');
  expect((await token.forJoin()).token).toBe('first');
});
