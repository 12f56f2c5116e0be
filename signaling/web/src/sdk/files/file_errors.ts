// The sentences for a transfer that did not succeed.

import type { FileErrorCode } from './types';

/** A person that declined or cancelled is no error. */
type Failure = Exclude<FileErrorCode, 'USER'>;

const texts: Record<Failure, { send: string; receive: string }> = {
  QUOTA: {
    send: 'The other person has too many open files from you. Try again when some of them are finished.',
    receive: 'This person sent too many files at once.',
  },
  TOO_LARGE: { send: 'The file is larger than the other side accepts.', receive: 'The file is too large.' },
  UNKNOWN_TRANSFER: {
    send: 'The other side does not have this transfer any more. Send the file again.',
    receive: 'The sender does not have this transfer any more. Ask for the file again.',
  },
  PROTOCOL: {
    send: 'The other side sent a message that is not valid.',
    receive: 'The sender sent a message that is not valid.',
  },
  STORAGE: {
    send: 'The other side could not store the file.',
    receive: 'The file could not be stored. Free some space, then ask for the file again.',
  },
  SOURCE: {
    send: 'The file could not be read. It may have changed or moved; select it again.',
    receive: 'The sender could not read the file.',
  },
  WRONG_HASH: {
    send: 'The file arrived with other bytes than it was sent with. Send it again.',
    receive: 'The file arrived with other bytes than it was sent with, and was deleted. Ask for it again.',
  },
  CORRUPT: {
    send: 'Parts of the file arrived damaged again and again.',
    receive: 'Parts of the file arrived damaged again and again.',
  },
  TIMEOUT: { send: 'The other side did not answer.', receive: 'The sender did not answer.' },
  PEER_LEFT: { send: 'The other person left the room.', receive: 'The sender left the room.' },
};

export function fileErrorText(code: FileErrorCode | undefined, direction: 'send' | 'receive'): string | undefined {
  return code === undefined || code === 'USER' ? undefined : texts[code][direction];
}

/** A file cannot be offered. */
export class FileTransferError extends Error {
  override name = 'FileTransferError';

  constructor(
    readonly code: 'FILE_TOO_LARGE' | 'NO_RECEIVER',
    message: string,
  ) {
    super(message);
  }
}
