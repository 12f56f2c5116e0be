// Why a call ended, as a code and the reason. The app has the words for the codes. Pure.

import { SignalError, WebRTCError } from '../sdk';

export interface Failure {
  /** A code of the protocol, for example "TOKEN_EXPIRED", or of `WebRTCErrorCode`; empty for other failures. */
  code: string;
  /** In English, by the server or the SDK. */
  reason: string;
}

export function failureOf(error: Error): Failure {
  const code = error instanceof SignalError ? error.codeName : error instanceof WebRTCError ? error.code : '';
  return { code, reason: error.message };
}
