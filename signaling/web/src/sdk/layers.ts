// Layers of video: how a camera is encoded under the server's policy, and which layer is enough for a tile. Numbers in, numbers out; whom to tell is
// the call's business.

import type { types } from 'mediasoup-client';

/** As `Joined` gives it. */
export interface EncodingPolicy {
  /** "L3T3_KEY" and so on (W3C WebRTC-SVC). */
  scalabilityMode: string;
  opusStereo: boolean;
  opusDtx: boolean;
}

/** What a client does without a word from the server. */
export const defaultPolicy: EncodingPolicy = { scalabilityMode: 'L1T1', opusStereo: false, opusDtx: true };

/** A pair of layers. As a preference without `temporalLayer`: all frame rates. */
export interface Layers {
  spatialLayer: number;
  temporalLayer?: number;
}

export interface LayerCounts {
  spatial: number;
  temporal: number;
}

/** Lines of the smallest layer of a camera that this client sends, whether it has three sizes (720p) or two (360p); each further layer doubles them. */
const SMALLEST_HEIGHT = 180;
/** Below this a smaller layer is of no use; browsers leave it out by themselves, at 135 lines for a picture of 16:9. */
const HEIGHT_MIN = 135;
/** A tile may be so much larger than a layer before the next one is worth its bits. */
const STRETCH_MAX = 1.25;

/** What a picture so high is worth at 30 frames a second, in bits a second; congestion control finds what really fits. */
const BITRATES: readonly (readonly [height: number, bitrate: number])[] = [
  [720, 2_000_000],
  [540, 1_200_000],
  [360, 600_000],
  [270, 350_000],
  [180, 180_000],
  [0, 120_000],
];

/** Between a picture and one of half its height, about; see above. */
const BITRATE_RATIO = 3.3;

export function bitrateOf(height: number): number {
  return BITRATES.find(([from]) => height >= from)?.[1] ?? 120_000;
}

/** How many layers a mode has; a mode that is none has one of each. */
export function countsOf(mode: string | undefined): LayerCounts {
  const [, spatial, temporal] = /^[LS]([1-9])T([1-9])/.exec(mode ?? '') ?? [];
  return { spatial: Number(spatial ?? 1), temporal: Number(temporal ?? 1) };
}

/** The mode with as many sizes as a picture of this height has room for. */
export function modeFor(mode: string, height: number): string {
  const { spatial, temporal } = countsOf(mode);
  let fit = spatial;
  while (fit > 1 && height / 2 ** (fit - 1) < HEIGHT_MIN) fit -= 1;
  return fit === spatial ? mode : modeOf(mode, fit, temporal);
}

/** Codecs whose streams have one size: several sizes are several streams. */
export function isSimulcastCodec(mimeType: string): boolean {
  return /^video\/(vp8|h264)$/i.test(mimeType);
}

/**
 * How a camera is sent. `height` is the shorter side of what is captured; `supportsMode` says whether the browser has the mode that `modeFor` gives, and
 * matters only where the sizes are within one stream. A browser that has not sends one size.
 */
export function cameraEncodings(
  policy: EncodingPolicy,
  mimeType: string,
  height: number,
  supportsMode: boolean,
): types.RtpEncodingParameters[] {
  const mode = modeFor(policy.scalabilityMode, height);
  const { spatial, temporal } = countsOf(mode);
  if (!isSimulcastCodec(mimeType)) {
    return [{ maxBitrate: bitrateOf(height), ...(supportsMode ? { scalabilityMode: mode } : {}) }];
  }
  return Array.from({ length: spatial }, (_, index) => {
    const scaleResolutionDownBy = 2 ** (spatial - 1 - index);
    const encoding = { maxBitrate: bitrateOf(height / scaleResolutionDownBy), scalabilityMode: `L1T${temporal}` };
    return spatial === 1 ? encoding : { ...encoding, scaleResolutionDownBy };
  });
}

/** Whether this browser encodes so. */
export async function supports(mimeType: string, scalabilityMode: string, height: number): Promise<boolean> {
  if (typeof navigator === 'undefined' || !navigator.mediaCapabilities?.encodingInfo) return false;
  const video = {
    contentType: mimeType,
    width: Math.round((height * 16) / 9),
    height,
    bitrate: bitrateOf(height),
    framerate: 30,
    scalabilityMode,
  };
  try {
    return (await navigator.mediaCapabilities.encodingInfo({ type: 'webrtc', video })).supported;
  } catch {
    return false;
  }
}

/** The smallest spatial layer of `layers` that fills so many lines of the screen. Nothing shown (0) is like the smallest. */
export function spatialLayerFor(lines: number, layers: number): number {
  for (let layer = 0; layer < layers - 1; layer += 1) {
    if (lines <= SMALLEST_HEIGHT * 2 ** layer * STRETCH_MAX) return layer;
  }
  return Math.max(0, layers - 1);
}

/** The half of an encoding that says how much of it is sent. */
export interface Share {
  active?: boolean;
  scalabilityMode?: string;
  scaleResolutionDownBy?: number;
  maxBitrate?: number;
}

/**
 * How much of each encoding is to be sent, of `full` as it was made: of several those that are wanted; of one with several sizes within, as many as the
 * highest wanted takes. Null is everything. A stream of fewer sizes is one of a smaller picture, as W3C's WebRTC-SVC gives the whole picture to
 * the highest layer there is.
 */
export function sharesOf(full: readonly types.RtpEncodingParameters[], wanted: ReadonlySet<number> | null): Share[] {
  const [only, ...others] = full;
  if (!only || others.length > 0) return full.map((_, index) => ({ active: wanted?.has(index) ?? true }));
  const active = wanted === null || wanted.size > 0;
  const { scalabilityMode: mode, maxBitrate } = only;
  const { spatial, temporal } = countsOf(mode);
  if (!mode || spatial === 1) return [{ active }];
  // What nobody takes is off as it is: it need not begin anew with another mode.
  const sent = wanted?.size ? Math.min(Math.max(...wanted) + 1, spatial) : spatial;
  const missing = spatial - sent;
  const ratio = mode.endsWith('h') ? 1.5 : 2;
  return [
    {
      active,
      scalabilityMode: sent === spatial ? mode : modeOf(mode, sent, temporal),
      scaleResolutionDownBy: (only.scaleResolutionDownBy ?? 1) * ratio ** missing,
      ...(maxBitrate === undefined ? {} : { maxBitrate: Math.round(maxBitrate / BITRATE_RATIO ** missing) }),
    },
  ];
}

/** The mode with only so many sizes. */
function modeOf(mode: string, spatial: number, temporal: number): string {
  return spatial === 1 ? `L1T${temporal}` : mode.replace(/^([LS])\d/, `$1${spatial}`);
}
