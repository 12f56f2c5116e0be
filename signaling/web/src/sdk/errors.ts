// The errors of a request, and which of them are final.

import { ErrorCode, type Error as ErrorMessage } from '../gen/signal_pb';
import { codeOfRefusal, WebRTCError } from './webrtc_error';

/** The server refused a request and gave a reason. */
export class SignalError extends WebRTCError {
  override name = 'SignalError';
  /** The code in the protocol; `code` is its group. */
  readonly errorCode: ErrorCode;
  readonly retryAfterMs: number;

  constructor({ code, message, retryAfterMs }: Pick<ErrorMessage, 'code' | 'message' | 'retryAfterMs'>) {
    super(codeOfRefusal(code), message || `The server refused the request (${ErrorCode[code] ?? code}).`);
    this.errorCode = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** The name of `errorCode` in the protocol: "TOKEN_EXPIRED". */
  get codeName(): string {
    return ErrorCode[this.errorCode] ?? String(this.errorCode);
  }
}

/**
 * The socket was lost before the answer arrived, or the answer did not arrive in time. Whether the request
 * was carried out is unknown until the next JoinRoom.
 */
export class SocketLost extends WebRTCError {
  override name = 'SocketLost';

  constructor(reason: string) {
    super('SIGNALING_LOST', `The connection to the server was lost (${reason}).`);
  }
}

/** The server has ended this session: an administrator removed the peer, or it resumed elsewhere. The message is the reason. */
export class Evicted extends WebRTCError {
  override name = 'Evicted';

  constructor(reason: string) {
    super('EVICTED', reason);
  }
}

/** An administrator did not admit this client. The message is the reason. */
export class NotAdmitted extends WebRTCError {
  override name = 'NotAdmitted';

  constructor(reason: string) {
    super('NOT_ADMITTED', reason);
  }
}

/** The application gave no token for the join. */
export class TokenUnavailable extends WebRTCError {
  override name = 'TokenUnavailable';
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super('TOKEN_UNAVAILABLE', message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The room is encrypted end to end, and this browser cannot do that. */
export class EncryptionUnavailable extends WebRTCError {
  override name = 'EncryptionUnavailable';

  constructor(message: string) {
    super('ENCRYPTION_UNAVAILABLE', message);
  }
}

/** The answer does not match the request: a server error. */
export class UnexpectedAnswer extends WebRTCError {
  override name = 'UnexpectedAnswer';

  constructor(request: string | undefined, answer: string | undefined) {
    super('UNEXPECTED_ANSWER', `The server answered ${request ?? 'nothing'} with ${answer ?? 'nothing'}.`);
  }
}

/** True when joining failed and another try would fail as well. */
export function isFinal(error: unknown): boolean {
  if (error instanceof SocketLost || error instanceof TokenUnavailable) return false;
  if (!(error instanceof SignalError)) return true;
  switch (error.errorCode) {
    case ErrorCode.INTERNAL:
    case ErrorCode.DRAINING:
    case ErrorCode.STORE_UNAVAILABLE:
    case ErrorCode.ENGINE_UNAVAILABLE:
    case ErrorCode.ENGINE_REFUSED:
      return false;
    case ErrorCode.BANNED:
      // A ban may end at a time: the user decides whether to try again.
      return true;
    default:
      return error.retryAfterMs === 0;
  }
}

/** True when the server refused a token that has expired, or whose key it does not have: another may be valid. */
export function isTokenOld(error: unknown): boolean {
  const old = [ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_KEY, ErrorCode.TOKEN_SIGNATURE];
  return error instanceof SignalError && old.includes(error.errorCode);
}

/** The pause that the error gives; 0 when it gives none. */
export function retryAfterMs(error: unknown): number {
  return error instanceof SignalError || error instanceof TokenUnavailable ? error.retryAfterMs : 0;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
