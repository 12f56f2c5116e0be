// Why a call ended or an action was refused, as a code and the reason. The app has the words for the codes. Pure.

import { FileTransferError, SignalError, WebRTCError } from '../sdk';

export interface Failure {
  /** A code of the protocol, for example "TOKEN_EXPIRED", of `WebRTCErrorCode` or of `FileTransferError`; otherwise empty. */
  code: string;
  /** In English, by the server or the SDK. */
  reason: string;
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { code: '', reason: String(error) };
  return { code: codeOf(error), reason: error.message };
}

function codeOf(error: Error): string {
  if (error instanceof SignalError) return error.codeName;
  return error instanceof WebRTCError || error instanceof FileTransferError ? error.code : '';
}
