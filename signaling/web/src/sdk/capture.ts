// Microphone, camera and screen: the requests to the browser, and what the user reads when they fail.

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

export type DeviceKind = 'audio' | 'video';

export interface Captured {
  audio: MediaStreamTrack | null;
  video: MediaStreamTrack | null;
  /** Which device is missing, why, and what the user can do; null when nothing is missing. */
  problem: string | null;
}

/** Requests both devices in one permission prompt. If that fails, requests each of them alone. */
export async function captureDevices(): Promise<Captured> {
  if (!navigator.mediaDevices) {
    return { audio: null, video: null, problem: 'Browsers allow camera and microphone only on https or localhost.' };
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: microphone, video: camera });
    return { audio: stream.getAudioTracks()[0] ?? null, video: stream.getVideoTracks()[0] ?? null, problem: null };
  } catch {
    const [audio, video] = await Promise.all([captureOne('audio'), captureOne('video')]);
    const failed = { audio: 'error' in audio ? audio.error : null, video: 'error' in video ? video.error : null };
    return {
      audio: 'track' in audio ? audio.track : null,
      video: 'track' in video ? video.track : null,
      problem: problemOf(failed),
    };
  }
}

/** One device, or the error. */
export async function captureOne(kind: DeviceKind): Promise<{ track: MediaStreamTrack } | { error: unknown }> {
  try {
    const stream = await navigator.mediaDevices.getUserMedia(kind === 'audio' ? { audio: microphone } : { video: camera });
    const track = stream.getTracks()[0];
    return track ? { track } : { error: new DOMException('the stream has no track', 'NotFoundError') };
  } catch (error) {
    return { error };
  }
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

function nameOf(error: unknown): string | null {
  if (error === null || error === undefined) return null;
  return error instanceof Error || error instanceof DOMException ? error.name : 'Error';
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
