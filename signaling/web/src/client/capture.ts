// Microphone, camera and screen: what is asked of the browser, and what to tell the user when it says no.

/** What a tile on a laptop can show, and enough lines for three sizes. */
const camera: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30, max: 30 },
};

/** Two channels where the device has them; whether both are sent is the server's policy, which is not known yet. */
const microphone: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: { ideal: 2 },
};

export interface Captured {
  audio: MediaStreamTrack | null;
  video: MediaStreamTrack | null;
  /** Why something is missing; null when nothing is. */
  problem: string | null;
}

/** Both devices in one question to the user; where that fails, whichever of them there is. */
export async function captureDevices(): Promise<Captured> {
  if (!navigator.mediaDevices) {
    return { audio: null, video: null, problem: 'Browsers give out camera and microphone only on https or localhost.' };
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: microphone, video: camera });
    return { audio: stream.getAudioTracks()[0] ?? null, video: stream.getVideoTracks()[0] ?? null, problem: null };
  } catch (error) {
    const [audio, video] = await Promise.all([captureOne('audio'), captureOne('video')]);
    return { audio, video, problem: audio && video ? null : problemOf(error) };
  }
}

/** One device, or null. */
export async function captureOne(kind: 'audio' | 'video'): Promise<MediaStreamTrack | null> {
  try {
    const stream = await navigator.mediaDevices.getUserMedia(kind === 'audio' ? { audio: microphone } : { video: camera });
    return stream.getTracks()[0] ?? null;
  } catch {
    return null;
  }
}

/** The screen the user picks, or null when they pick none. */
export async function captureScreen(): Promise<MediaStreamTrack | null> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } } });
    const track = stream.getVideoTracks()[0] ?? null;
    // Text wants sharp pixels more than many frames.
    if (track) track.contentHint = 'detail';
    return track;
  } catch {
    return null;
  }
}

function problemOf(error: unknown): string {
  switch (error instanceof DOMException ? error.name : '') {
    case 'NotAllowedError':
      return 'Camera or microphone is blocked. Allow it in the address bar, or join without.';
    case 'NotFoundError':
      return 'No camera or microphone was found. You can join without.';
    case 'NotReadableError':
      return 'Another program is using the camera or microphone. You can join without.';
    default:
      return 'Camera or microphone could not be started. You can join without.';
  }
}
