// Layers of video: how a camera is encoded under the server's policy, and which layer is enough for a tile.
// Pure, except for `supports`.

import type { types } from 'mediasoup-client';

/** As in `Joined`. */
export interface EncodingPolicy {
  /** "L3T3_KEY" and so on (W3C WebRTC-SVC). */
  scalabilityMode: string;
  opusStereo: boolean;
  opusDtx: boolean;
}

/** Used if the server sends no policy. */
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

/**
 * Height of a camera's smallest layer, with three sizes (720p) as with two (360p). Each further layer doubles
 * it.
 */
const SMALLEST_HEIGHT = 180;
/**
 * Below this height a smaller layer is useless. Browsers leave it out by themselves, at 135 lines for a
 * picture of 16:9.
 */
const HEIGHT_MIN = 135;
/** A tile may be this much larger than a layer before the next layer is worth its bitrate. */
const STRETCH_MAX = 1.25;

/**
 * The maximum bitrate for a picture of this height at 30 frames a second, in bits a second. Congestion
 * control may lower it.
 */
const BITRATES: readonly (readonly [height: number, bitrate: number])[] = [
  [720, 2_000_000],
  [540, 1_200_000],
  [360, 600_000],
  [270, 350_000],
  [180, 180_000],
  [0, 120_000],
];

/** Bitrate of a picture divided by that of half its height, from the table above. */
const BITRATE_RATIO = 3.3;

export function bitrateOf(height: number): number {
  return BITRATES.find(([from]) => height >= from)?.[1] ?? 120_000;
}

/** How many layers a mode has. An invalid mode has one of each. */
export function countsOf(mode: string | undefined): LayerCounts {
  const [, spatial, temporal] = /^[LS]([1-9])T([1-9])/.exec(mode ?? '') ?? [];
  return { spatial: Number(spatial ?? 1), temporal: Number(temporal ?? 1) };
}

/** The mode with as many sizes as are useful for a picture of this height. */
export function modeFor(mode: string, height: number): string {
  const { spatial, temporal } = countsOf(mode);
  let fit = spatial;
  while (fit > 1 && height / 2 ** (fit - 1) < HEIGHT_MIN) fit -= 1;
  return fit === spatial ? mode : modeOf(mode, fit, temporal);
}

/** Codecs whose streams have one size each: several sizes need several streams. */
export function isSimulcastCodec(mimeType: string): boolean {
  return /^video\/(vp8|h264)$/i.test(mimeType);
}

/**
 * The encodings of a camera. `height` is the shorter side of the captured picture. `supportsMode`: the
 * browser supports the mode that `modeFor` returns; it matters only for codecs with all sizes in one stream,
 * and without it the browser sends one size.
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

/** Whether this browser can encode in this mode. */
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

/**
 * The smallest of `layers` spatial layers that fills this height on screen. Height 0 (not shown) gives the
 * smallest.
 */
export function spatialLayerFor(lines: number, layers: number): number {
  for (let layer = 0; layer < layers - 1; layer += 1) {
    if (lines <= SMALLEST_HEIGHT * 2 ** layer * STRETCH_MAX) return layer;
  }
  return Math.max(0, layers - 1);
}

/** The part of an encoding that controls how much of it is sent. */
export interface Share {
  active?: boolean;
  scalabilityMode?: string;
  scaleResolutionDownBy?: number;
  maxBitrate?: number;
}

/**
 * How much to send of each encoding in `full`. Of several encodings: those that are wanted. Of one encoding
 * with several sizes: the sizes up to the highest wanted one. Null means all. A stream with fewer sizes is
 * encoded from a smaller picture, because W3C WebRTC-SVC gives the full picture to the highest layer.
 */
export function sharesOf(full: readonly types.RtpEncodingParameters[], wanted: ReadonlySet<number> | null): Share[] {
  const [only, ...others] = full;
  if (!only || others.length > 0) return full.map((_, index) => ({ active: wanted?.has(index) ?? true }));
  const active = wanted === null || wanted.size > 0;
  const { scalabilityMode: mode, maxBitrate } = only;
  const { spatial, temporal } = countsOf(mode);
  if (!mode || spatial === 1) return [{ active }];
  // A stream without receivers is switched off with its mode unchanged, so that it need not restart with
  // another mode.
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

/** The mode with fewer sizes. */
function modeOf(mode: string, spatial: number, temporal: number): string {
  return spatial === 1 ? `L1T${temporal}` : mode.replace(/^([LS])\d/, `$1${spatial}`);
}
