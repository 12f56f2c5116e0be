// The base class of the errors of the SDK, and the closed list of their codes.

import { ErrorCode } from '../gen/signal_pb';

/** Every code of a `WebRTCError`. The first two are about media, the next ones about this client, the rest is for refusals. */
export const webrtcErrorCodes = [
  /** There is no path for media to the server, or it was lost and not found again. */
  'ICE_FAILURE',
  /** A session description or a candidate was refused, by the browser or by the server. */
  'SDP_NEGOTIATION',
  /** The browser could not create a data channel. */
  'DATA_CHANNEL',
  /** A microphone, camera or speaker cannot be used; `DeviceError.reason` has the reason. */
  'DEVICE',
  /** The object was closed, or the call has ended. */
  'CLOSED',
  /** The signaling connection was lost, or an answer did not arrive in time. */
  'SIGNALING_LOST',
  /** The server answered with another message than the request permits. */
  'UNEXPECTED_ANSWER',
  /** The room is encrypted end to end, and this browser cannot do that. */
  'ENCRYPTION_UNAVAILABLE',
  /** The application gave no token. */
  'TOKEN_UNAVAILABLE',
  /** An administrator did not admit this client. */
  'NOT_ADMITTED',
  /** The server ended the session. */
  'EVICTED',
  /** The server does not accept the token. */
  'TOKEN_REFUSED',
  /** The token or the policy of the room does not permit this. */
  'PERMISSION_DENIED',
  /** The request names an object that does not exist. */
  'NOT_FOUND',
  /** The request is malformed, or not possible in this state. */
  'BAD_REQUEST',
  /** The codecs of the two sides do not match. */
  'CODEC',
  'LIMIT',
  /** The server cannot answer now. */
  'SERVER_UNAVAILABLE',
] as const;

/** The code of a `WebRTCError`; the list is closed. */
export type WebRTCErrorCode = (typeof webrtcErrorCodes)[number];

/** The errors of the SDK. */
export class WebRTCError extends Error {
  override name = 'WebRTCError';

  constructor(
    readonly code: WebRTCErrorCode,
    message: string,
  ) {
    super(message);
  }

  /** For logs: `JSON.stringify` of an `Error` is otherwise empty. */
  toJSON(): { code: WebRTCErrorCode; message: string; stack: string | undefined } {
    return { code: this.code, message: this.message, stack: this.stack };
  }
}

/** The code for a refusal by the server. The ranges of `ErrorCode` also cover codes of later servers. */
export function codeOfRefusal(code: ErrorCode): WebRTCErrorCode {
  switch (code) {
    case ErrorCode.NO_SUCH_PEER:
    case ErrorCode.NO_SUCH_TRANSPORT:
    case ErrorCode.NO_SUCH_PRODUCER:
    case ErrorCode.NO_SUCH_CONSUMER:
      return 'NOT_FOUND';
    case ErrorCode.TOKEN_PERMISSION:
    case ErrorCode.SUBSCRIPTION_DENIED:
      return 'PERMISSION_DENIED';
    case ErrorCode.LIMIT:
    case ErrorCode.ROOM_FULL:
      return 'LIMIT';
  }
  if (code >= ErrorCode.ENGINE_UNAVAILABLE) return 'SERVER_UNAVAILABLE';
  if (code >= ErrorCode.CANNOT_CONSUME) return 'CODEC';
  if (code >= ErrorCode.WRONG_STATE) return 'BAD_REQUEST';
  if (code >= ErrorCode.ROOM_LOCKED) return 'PERMISSION_DENIED';
  return code >= ErrorCode.TOKEN_MISSING ? 'TOKEN_REFUSED' : 'BAD_REQUEST';
}
