// Microphone, camera and screen: the requests to the browser, and what the user reads when they fail.

import { DeviceError, deviceErrorOf } from './device_error';

/** Fits a tile on a laptop, and is high enough for three sizes. */
const camera: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30, max: 30 },
};

/**
 * Stereo where the device supports it; whether both channels are sent is the server's policy, which is not
 * known yet.
 */
const microphone: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: { ideal: 2 },
};

/** What a device captures. */
export type DeviceKind = 'audio' | 'video';

/** The ids of the devices to open; null or absent is the one that the browser selects. */
export interface DeviceChoices {
  microphone?: string | null;
  camera?: string | null;
}

/** The result of opening devices: tracks, and what went wrong. */
export interface Captured {
  audio: MediaStreamTrack | null;
  video: MediaStreamTrack | null;
  /** Why a device is missing; null: it is not, or it was not wanted. */
  errors: Record<DeviceKind, DeviceError | null>;
  /** Which device is missing, why, and what the user can do, in English; null when nothing is missing. */
  problem: string | null;
}

/** Which devices to open. */
export interface CaptureOptions extends DeviceChoices {
  /** What to open. */
  kinds?: readonly DeviceKind[];
}

const roleOf = { audio: 'microphone', video: 'camera' } as const;

/**
 * Requests both devices in one permission prompt. If that fails, requests each of them alone. Instead of a chosen
 * device that does not exist, the browser selects one.
 */
export async function captureDevices({ kinds = ['audio', 'video'], ...choices }: CaptureOptions = {}): Promise<Captured> {
  const none = { audio: null, video: null };
  if (!navigator.mediaDevices) {
    const errors = { ...none, ...Object.fromEntries(kinds.map((kind) => [kind, new DeviceError(roleOf[kind], 'insecure')])) };
    return { ...none, errors, problem: 'Browsers allow camera and microphone only on https or localhost.' };
  }
  if (kinds.length === 0) return { ...none, errors: none, problem: null };
  try {
    const wanted = Object.fromEntries(kinds.map((kind) => [kind, constraintsOf(kind, choices[roleOf[kind]])]));
    const stream = await navigator.mediaDevices.getUserMedia(wanted);
    return { audio: stream.getAudioTracks()[0] ?? null, video: stream.getVideoTracks()[0] ?? null, errors: none, problem: null };
  } catch {
    const captured: Captured = { ...none, errors: { ...none }, problem: null };
    await Promise.all(
      kinds.map(async (kind) => {
        const result = await captureOne(kind, choices[roleOf[kind]]);
        if ('track' in result) captured[kind] = result.track;
        else captured.errors[kind] = result.error;
      }),
    );
    return { ...captured, problem: problemOf(captured.errors) };
  }
}

/**
 * One device, or the error. Instead of a chosen device that does not exist, the browser selects one, unless it is
 * `required`.
 */
export async function captureOne(
  kind: DeviceKind,
  id: string | null = null,
  required = false,
): Promise<{ track: MediaStreamTrack } | { error: DeviceError }> {
  const role = roleOf[kind];
  if (!navigator.mediaDevices) return { error: new DeviceError(role, 'insecure') };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: constraintsOf(kind, id) });
    const track = stream.getTracks()[0];
    return track ? { track } : { error: new DeviceError(role, 'notFound') };
  } catch (cause) {
    const error = deviceErrorOf(role, cause);
    const isGone = error.reason === 'unsuitable' || error.reason === 'notFound';
    return id !== null && isGone && !required ? captureOne(kind) : { error };
  }
}

function constraintsOf(kind: DeviceKind, id: string | null = null): MediaTrackConstraints {
  const constraints = kind === 'audio' ? microphone : camera;
  return id === null ? constraints : { ...constraints, deviceId: { exact: id } };
}

/** The screen that the user selects; null when they cancel. */
export async function captureScreen(): Promise<MediaStreamTrack | null> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } } });
    const track = stream.getVideoTracks()[0] ?? null;
    // Text needs sharp pixels rather than many frames.
    if (track) track.contentHint = 'detail';
    return track;
  } catch {
    return null;
  }
}

/** The text for the user about the devices that failed; null if none has. */
export function problemOf({ audio, video }: Record<DeviceKind, unknown>): string | null {
  const [ofAudio, ofVideo] = [nameOf(audio), nameOf(video)];
  if (ofAudio !== null && ofAudio === ofVideo) return sentence('camera and microphone', 'buttons', ofAudio);
  const sentences = [
    ofVideo !== null && sentence('camera', 'button', ofVideo),
    ofAudio !== null && sentence('microphone', 'button', ofAudio),
  ];
  return sentences.filter(Boolean).join(' ') || null;
}

/** The name that the browser gave. */
function nameOf(error: unknown): string | null {
  if (error === null || error === undefined) return null;
  const cause = error instanceof DeviceError ? error.cause : error;
  if (cause instanceof Error || cause instanceof DOMException) return cause.name;
  return error instanceof DeviceError && error.reason === 'notFound' ? 'NotFoundError' : 'Error';
}

function sentence(device: string, button: string, error: string): string {
  const be = button === 'buttons' ? 'are' : 'is';
  const again = `press the ${device} ${button}`;
  switch (error) {
    case 'NotAllowedError':
      return `Your ${device} ${be} blocked for this page. Allow it with the icon in the address bar, then ${again}.`;
    case 'NotFoundError':
      return `No ${device} was found. Plug one in, then ${again}.`;
    case 'NotReadableError':
      return `Your ${device} could not be read: another program may be using it. Close that program, then ${again}.`;
    default:
      return `Your ${device} could not be started (${error}). To try again, ${again}.`;
  }
}
