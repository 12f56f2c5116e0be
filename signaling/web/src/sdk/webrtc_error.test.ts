import { describe, expect, expectTypeOf, test } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import {
  EncryptionUnavailable,
  Evicted,
  NotAdmitted,
  SignalError,
  SocketLost,
  TokenUnavailable,
  UnexpectedAnswer,
} from './errors';
import { MediaBroken, MediaClosed } from './media';
import { codeOfRefusal, WebRTCError, type WebRTCErrorCode, webrtcErrorCodes } from './webrtc_error';
import { WhipError } from './whip';

describe('WebRTCError', () => {
  test('has a code, a message and a place in the prototype chain', () => {
    const error = new WebRTCError('ICE_FAILURE', 'no path');
    expect(error).toBeInstanceOf(WebRTCError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'WebRTCError', code: 'ICE_FAILURE', message: 'no path' });
    expect(Object.prototype.toString.call(error)).toBe('[object Error]');
  });

  test('is code, message and stack in JSON', () => {
    const error = new WebRTCError('SDP_NEGOTIATION', 'refused');
    expect(error.toJSON()).toEqual({ code: 'SDP_NEGOTIATION', message: 'refused', stack: error.stack });
    expect(error.stack).toContain('webrtc_error.test');
    expect(JSON.parse(JSON.stringify(error))).toEqual(error.toJSON());
  });

  test('accepts the codes of the list only', () => {
    expectTypeOf<ConstructorParameters<typeof WebRTCError>>().toEqualTypeOf<[code: WebRTCErrorCode, message: string]>();
    expectTypeOf<'ICE_FAILURE' | 'SDP_NEGOTIATION'>().toExtend<WebRTCErrorCode>();
    expectTypeOf<string>().not.toExtend<WebRTCErrorCode>();
    expect(new Set(webrtcErrorCodes).size).toBe(webrtcErrorCodes.length);
  });
});

test.each<[WebRTCError, string, WebRTCErrorCode]>([
  [new SocketLost('gone'), 'SocketLost', 'SIGNALING_LOST'],
  [new Evicted('bye'), 'Evicted', 'EVICTED'],
  [new NotAdmitted('no'), 'NotAdmitted', 'NOT_ADMITTED'],
  [new TokenUnavailable('none', 500), 'TokenUnavailable', 'TOKEN_UNAVAILABLE'],
  [new EncryptionUnavailable('no'), 'EncryptionUnavailable', 'ENCRYPTION_UNAVAILABLE'],
  [new UnexpectedAnswer('offer', 'ack'), 'UnexpectedAnswer', 'UNEXPECTED_ANSWER'],
  [new MediaClosed('closed'), 'MediaClosed', 'CLOSED'],
  [new MediaBroken(), 'MediaBroken', 'ICE_FAILURE'],
  [new WhipError(400, 'no section'), 'WhipError', 'SDP_NEGOTIATION'],
  [new WhipError(401, ''), 'WhipError', 'TOKEN_REFUSED'],
  [new WhipError(403, ''), 'WhipError', 'PERMISSION_DENIED'],
  [new WhipError(404, ''), 'WhipError', 'NOT_FOUND'],
  [new WhipError(422, 'no codec'), 'WhipError', 'SDP_NEGOTIATION'],
  [new WhipError(428, ''), 'WhipError', 'BAD_REQUEST'],
  [new WhipError(429, ''), 'WhipError', 'LIMIT'],
  [new WhipError(503, ''), 'WhipError', 'SERVER_UNAVAILABLE'],
])('%o has a name and a code', (error, name, code) => {
  expect(error).toBeInstanceOf(WebRTCError);
  expect(error).toMatchObject({ name, code });
  expect(error.toJSON()).toEqual({ code, message: error.message, stack: error.stack });
});

test('a refusal keeps the code of the protocol beside its own', () => {
  const error = new SignalError({ code: ErrorCode.ROOM_LOCKED, message: 'locked', retryAfterMs: 0 });
  expect(error).toMatchObject({ code: 'PERMISSION_DENIED', errorCode: ErrorCode.ROOM_LOCKED, codeName: 'ROOM_LOCKED' });
});

test.each<[WebRTCErrorCode, (keyof typeof ErrorCode)[]]>([
  ['BAD_REQUEST', ['BAD_MESSAGE', 'UNSUPPORTED_VERSION', 'WRONG_STATE', 'WRONG_DIRECTION', 'RESUME_SECRET']],
  ['TOKEN_REFUSED', ['TOKEN_MISSING', 'TOKEN_EXPIRED', 'TOKEN_KEY', 'TOKEN_AUDIENCE', 'TOKEN_REVOKED']],
  ['PERMISSION_DENIED', ['TOKEN_PERMISSION', 'ROOM_LOCKED', 'PUBLISH_DENIED', 'MUTED', 'SUBSCRIPTION_DENIED']],
  ['NOT_FOUND', ['NO_SUCH_PEER', 'NO_SUCH_TRANSPORT', 'NO_SUCH_PRODUCER', 'NO_SUCH_CONSUMER']],
  ['CODEC', ['CANNOT_CONSUME', 'UNSUPPORTED_CODEC']],
  ['LIMIT', ['LIMIT', 'ROOM_FULL']],
  ['SERVER_UNAVAILABLE', ['ENGINE_UNAVAILABLE', 'ENGINE_REFUSED', 'DRAINING', 'STORE_UNAVAILABLE', 'INTERNAL']],
])('refusals with the code %s', (code, names) => {
  for (const name of names) expect(codeOfRefusal(ErrorCode[name]), name).toBe(code);
});
