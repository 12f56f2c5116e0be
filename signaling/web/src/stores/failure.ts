// Why a call ended, as a code and a sentence for the user. Pure.

import { Evicted, NotAdmitted, SignalError } from '../sdk';

export interface Failure {
  /** A code of the protocol, for example "TOKEN_EXPIRED"; "EVICTED", "DENIED"; empty for other failures. */
  code: string;
  message: string;
}

export function failureOf(error: Error): Failure {
  if (error instanceof Evicted) return { code: 'EVICTED', message: `You are no longer in the call: ${clause(error)}.` };
  if (error instanceof NotAdmitted) return { code: 'DENIED', message: `You could not join: ${clause(error)}.` };
  if (!(error instanceof SignalError)) return { code: '', message: error.message };
  return { code: error.codeName, message: sentences[error.codeName] ?? error.message };
}

/** For codes whose cause a user of the app understands without the server's explanation. */
const sentences: Partial<Record<string, string>> = {
  ROOM_LOCKED: 'This room is locked: only administrators may join now.',
  ROOM_FULL: 'This room is full. Try again when a person has left.',
};

/** The reason without its full stop. */
function clause({ message }: Error): string {
  return message.replace(/\.$/, '');
}
