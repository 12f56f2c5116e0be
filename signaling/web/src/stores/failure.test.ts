import { expect, test } from 'vitest';
import { EncryptionUnavailable, Evicted, FileTransferError, NotAdmitted, SignalError } from '../sdk';
import { failureOf } from './failure';

test.each([
  [new Evicted('an administrator removed you from the room'), 'EVICTED'],
  [new NotAdmitted('not today'), 'NOT_ADMITTED'],
  [new EncryptionUnavailable('no encryption here'), 'ENCRYPTION_UNAVAILABLE'],
  // The number is that of signal.proto. The code of the protocol says more than that of the SDK.
  [new SignalError({ code: 24, message: 'the token has expired', retryAfterMs: 0 }), 'TOKEN_EXPIRED'],
  [new FileTransferError('NO_RECEIVER', 'the room is empty'), 'NO_RECEIVER'],
  [new Error('no capabilities'), ''],
])('%s has the code %s', (error, code) => {
  expect(failureOf(error)).toEqual({ code, reason: error.message });
});
