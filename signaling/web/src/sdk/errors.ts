// What can go wrong with a request, and whose turn it is then.

import { ErrorCode, type Error as ErrorMessage } from '../gen/signal_pb';

/** The server refused a request and said why. */
export class SignalError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterMs: number;

  constructor({ code, message, retryAfterMs }: Pick<ErrorMessage, 'code' | 'message' | 'retryAfterMs'>) {
    super(message || `The server refused the request (${ErrorCode[code] ?? code}).`);
    this.name = 'SignalError';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** The code as the protocol spells it, for logs and tests: "TOKEN_EXPIRED". */
  get codeName(): string {
    return ErrorCode[this.code] ?? String(this.code);
  }
}

/** The socket went away before the answer came, or the answer did not come in time. Whether the request was done is unknown; the next JoinRoom tells. */
export class SocketLost extends Error {
  constructor(reason: string) {
    super(`The connection to the server was lost (${reason}).`);
    this.name = 'SocketLost';
  }
}

/** The server answered with something that does not belong to the request. A fault of the server. */
export class UnexpectedAnswer extends Error {
  constructor(asked: string | undefined, answered: string | undefined) {
    super(`The server answered ${asked ?? 'nothing'} with ${answered ?? 'nothing'}.`);
    this.name = 'UnexpectedAnswer';
  }
}

/** True when joining failed in a way that will not change by asking again. */
export function isFinal(error: unknown): boolean {
  if (error instanceof SocketLost) return false;
  if (!(error instanceof SignalError)) return true;
  switch (error.code) {
    case ErrorCode.INTERNAL:
    case ErrorCode.DRAINING:
    case ErrorCode.ENGINE_UNAVAILABLE:
    case ErrorCode.ENGINE_REFUSED:
      return false;
    default:
      return error.retryAfterMs === 0;
  }
}

/** The pause that the server asks for; 0 when it asks for none. */
export function retryAfterMs(error: unknown): number {
  return error instanceof SignalError ? error.retryAfterMs : 0;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
