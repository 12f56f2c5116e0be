import { expect, test } from 'vitest';
import { DeviceError, type DeviceFailure, deviceErrorOf } from './device_error';
import { WebRTCError } from './webrtc_error';

test.each<[name: string, message: string, DeviceFailure]>([
  ['NotAllowedError', 'Permission denied', 'blocked'],
  ['NotAllowedError', 'Permission dismissed', 'dismissed'],
  ['NotAllowedError', 'Permission denied by system', 'blockedBySystem'],
  ['SecurityError', '', 'blocked'],
  ['NotFoundError', 'Requested device not found', 'notFound'],
  ['NotReadableError', 'Could not start video source', 'inUse'],
  ['OverconstrainedError', '', 'unsuitable'],
  ['TypeError', 'no constraints', 'failed'],
])('%s "%s" is %s', (name, message, reason) => {
  const cause = new DOMException(message, name);
  const error = deviceErrorOf('camera', cause);
  expect(error).toBeInstanceOf(WebRTCError);
  expect(error).toMatchObject({ name: 'DeviceError', code: 'DEVICE', device: 'camera', reason, cause });
  expect(error.message).toContain(name);
  expect(deviceErrorOf('microphone', error)).toBe(error);
});

test('a failure without an error of the browser', () => {
  expect(deviceErrorOf('speaker', 'none')).toMatchObject({ reason: 'failed', device: 'speaker' });
  expect(new DeviceError('microphone', 'insecure').message).toBe(
    'The microphone cannot be used: browsers allow devices only on https or localhost.',
  );
});
