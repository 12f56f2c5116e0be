import { expect, test } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import { type AfterFailure, afterFailure } from './entry';
import { SignalError, SocketLost } from './errors';

const refused = (code: ErrorCode, retryAfterMs = 0) => new SignalError({ code, message: '', retryAfterMs });

test.each<[string, unknown, { isResume?: boolean; isSocketUp?: boolean }, AfterFailure]>([
  ['a lost socket', new SocketLost('gone'), { isSocketUp: false }, { do: 'wait' }],
  ['a missing answer', new SocketLost('timeout'), {}, { do: 'changeSocket' }],
  ['a socket that is in the room', refused(ErrorCode.WRONG_STATE), {}, { do: 'changeSocket' }],
  ['a place given away', refused(ErrorCode.RESUME_SECRET), { isResume: true }, { do: 'enterAsNew' }],
  ['a resume refused to a new client', refused(ErrorCode.RESUME_SECRET), {}, { do: 'end' }],
  ['an expired token', refused(ErrorCode.TOKEN_EXPIRED), {}, { do: 'end' }],
  ['a broken answer', new Error('no capabilities'), {}, { do: 'end' }],
  ['an engine that is away', refused(ErrorCode.ENGINE_UNAVAILABLE), {}, { do: 'retry', afterMs: 1_000 }],
  ['a rate limit', refused(ErrorCode.LIMIT, 700), {}, { do: 'retry', afterMs: 700 }],
])('%s', (_, error, { isResume = false, isSocketUp = true }, after) => {
  expect(afterFailure(error, isResume, isSocketUp)).toEqual(after);
});
