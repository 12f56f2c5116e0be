// The errors of a request, and which of them are final.

import { ErrorCode, type Error as ErrorMessage } from '../gen/signal_pb';

/** The server refused a request and gave a reason. */
export class SignalError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterMs: number;

  constructor({ code, message, retryAfterMs }: Pick<ErrorMessage, 'code' | 'message' | 'retryAfterMs'>) {
    super(message || `The server refused the request (${ErrorCode[code] ?? code}).`);
    this.name = 'SignalError';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** The code's name in the protocol, for logs and tests: "TOKEN_EXPIRED". */
  get codeName(): string {
    return ErrorCode[this.code] ?? String(this.code);
  }
}

/**
 * The socket was lost before the answer arrived, or the answer did not arrive in time. Whether the request
 * was carried out is unknown until the next JoinRoom.
 */
export class SocketLost extends Error {
  constructor(reason: string) {
    super(`The connection to the server was lost (${reason}).`);
    this.name = 'SocketLost';
  }
}

/** The server has ended this session: an administrator removed the peer, or it resumed elsewhere. The message is the reason. */
export class Evicted extends Error {
  override name = 'Evicted';
}

/** An administrator did not admit this client. The message is the reason. */
export class NotAdmitted extends Error {
  override name = 'NotAdmitted';
}

/** The application gave no token for the join. */
export class TokenUnavailable extends Error {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.name = 'TokenUnavailable';
    this.retryAfterMs = retryAfterMs;
  }
}

/** The answer does not match the request: a server error. */
export class UnexpectedAnswer extends Error {
  constructor(request: string | undefined, answer: string | undefined) {
    super(`The server answered ${request ?? 'nothing'} with ${answer ?? 'nothing'}.`);
    this.name = 'UnexpectedAnswer';
  }
}

/** True when joining failed and another try would fail as well. */
export function isFinal(error: unknown): boolean {
  if (error instanceof SocketLost || error instanceof TokenUnavailable) return false;
  if (!(error instanceof SignalError)) return true;
  switch (error.code) {
    case ErrorCode.INTERNAL:
    case ErrorCode.DRAINING:
    case ErrorCode.STORE_UNAVAILABLE:
    case ErrorCode.ENGINE_UNAVAILABLE:
    case ErrorCode.ENGINE_REFUSED:
      return false;
    default:
      return error.retryAfterMs === 0;
  }
}

/** True when the server refused a token that has expired, or whose key it does not have: another may be valid. */
export function isTokenOld(error: unknown): boolean {
  const old = [ErrorCode.TOKEN_EXPIRED, ErrorCode.TOKEN_KEY, ErrorCode.TOKEN_SIGNATURE];
  return error instanceof SignalError && old.includes(error.code);
}

/** The pause that the error gives; 0 when it gives none. */
export function retryAfterMs(error: unknown): number {
  return error instanceof SignalError || error instanceof TokenUnavailable ? error.retryAfterMs : 0;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
