// Why a microphone, camera or speaker cannot be used, as a closed list of reasons. Pure.

import { WebRTCError } from './webrtc_error';

/** What a device is used for. */
export type DeviceRole = 'microphone' | 'camera' | 'speaker';

/** Why a device could not be opened. */
export type DeviceFailure =
  /** The user, or a policy, does not let this page use the device (`NotAllowedError`). */
  | 'blocked'
  /** The user closed the browser's question without an answer. */
  | 'dismissed'
  /** The operating system does not let the browser use the device. */
  | 'blockedBySystem'
  /** There is no such device (`NotFoundError`). */
  | 'notFound'
  /** The device cannot be read: another program may be using it (`NotReadableError`). */
  | 'inUse'
  /** No device meets the constraints, for example the chosen id (`OverconstrainedError`). */
  | 'unsuitable'
  /** The page is neither on https nor on localhost. */
  | 'insecure'
  /** This browser does not have the function. */
  | 'unsupported'
  /** Any other error. */
  | 'failed';

/** `cause` is the error of the browser. */
export class DeviceError extends WebRTCError {
  override name = 'DeviceError';

  constructor(
    readonly device: DeviceRole,
    readonly reason: DeviceFailure,
    override readonly cause?: unknown,
  ) {
    super('DEVICE', `The ${device} cannot be used: ${sentences[reason]}${nameOf(cause)}.`);
  }
}

const sentences: Record<DeviceFailure, string> = {
  blocked: 'it is blocked for this page',
  dismissed: 'the question for permission was closed',
  blockedBySystem: 'the operating system blocks it',
  notFound: 'there is none',
  inUse: 'it cannot be read, another program may be using it',
  unsuitable: 'no device meets the constraints',
  insecure: 'browsers allow devices only on https or localhost',
  unsupported: 'this browser does not support it',
  failed: 'it could not be started',
};

function nameOf(cause: unknown): string {
  return cause instanceof Error || cause instanceof DOMException ? ` (${cause.name})` : '';
}

/** The error of `getUserMedia` or `setSinkId` with its reason. */
export function deviceErrorOf(device: DeviceRole, error: unknown): DeviceError {
  if (error instanceof DeviceError) return error;
  const { name = '', message = '' } = error instanceof Error || error instanceof DOMException ? error : {};
  return new DeviceError(device, failureOf(name, message), error);
}

function failureOf(name: string, message: string): DeviceFailure {
  switch (name) {
    case 'NotAllowedError':
      // Chromium tells these apart in the message only.
      if (/system/i.test(message)) return 'blockedBySystem';
      return /dismissed/i.test(message) ? 'dismissed' : 'blocked';
    case 'SecurityError':
      return 'blocked';
    case 'NotFoundError':
      return 'notFound';
    case 'NotReadableError':
    case 'AbortError':
      return 'inUse';
    case 'OverconstrainedError':
      return 'unsuitable';
    default:
      return 'failed';
  }
}
