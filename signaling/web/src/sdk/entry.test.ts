import { expect, test } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import { type AfterFailure, afterFailure, type FailedJoin } from './entry';
import { SignalError, SocketLost, TokenUnavailable } from './errors';

const refused = (code: ErrorCode, retryAfterMs = 0) => new SignalError({ code, message: '', retryAfterMs });

test.each<[string, unknown, Partial<FailedJoin>, AfterFailure]>([
  ['a lost socket', new SocketLost('gone'), { isSocketUp: false }, { do: 'wait' }],
  ['a missing answer', new SocketLost('timeout'), {}, { do: 'changeSocket' }],
  ['a socket that is in the room', refused(ErrorCode.WRONG_STATE), {}, { do: 'changeSocket' }],
  ['a place given away', refused(ErrorCode.RESUME_SECRET), { isResume: true }, { do: 'enterAsNew' }],
  ['a resume refused to a new client', refused(ErrorCode.RESUME_SECRET), {}, { do: 'end' }],
  ['an expired token', refused(ErrorCode.TOKEN_EXPIRED), {}, { do: 'replaceToken' }],
  ['a token of a key that was removed', refused(ErrorCode.TOKEN_KEY), { isResume: true }, { do: 'replaceToken' }],
  ['a new token that has expired', refused(ErrorCode.TOKEN_EXPIRED), { isTokenNew: true }, { do: 'end' }],
  ['a revoked token', refused(ErrorCode.TOKEN_REVOKED), {}, { do: 'end' }],
  ['a ban that ends in an hour', refused(ErrorCode.BANNED, 3_600_000), {}, { do: 'end' }],
  ['no token for the first join', new TokenUnavailable('none', 500), {}, { do: 'end' }],
  ['no token for a later join', new TokenUnavailable('none', 500), { wasJoined: true }, { do: 'retry', afterMs: 500 }],
  ['a broken answer', new Error('no capabilities'), {}, { do: 'end' }],
  ['an engine that is away', refused(ErrorCode.ENGINE_UNAVAILABLE), {}, { do: 'retry', afterMs: 1_000 }],
  ['a rate limit', refused(ErrorCode.LIMIT, 700), {}, { do: 'retry', afterMs: 700 }],
])('%s', (_, error, failed, after) => {
  const usual = { isResume: false, isSocketUp: true, isTokenNew: false, wasJoined: false };
  expect(afterFailure(error, { ...usual, ...failed })).toEqual(after);
});
