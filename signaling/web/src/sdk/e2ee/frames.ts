// The form of an encrypted frame for each codec. A browser packetizes what a transform returns and a receiver takes the
// packets apart before its transform: some of both read the payload. The whole frame is encrypted, and no byte of it stays
// clear; what they need is put before the ciphertext. Bytes of the network never cause an exception.
//
// Opus, VP9: nothing. Both sides take all they need from the RTP header, the payload descriptor or the dependency
//   descriptor, which a transform does not touch.
// VP8: one bit, whether it is a keyframe, which a receiver without the dependency descriptor reads from the payload.
// AV1: browsers split the payload at its OBUs and drop a frame without any, so the ciphertext is the content of one OBU.
//   Before that of a keyframe is a sequence header without content: a server without the dependency descriptor, which
//   Firefox does not send, recognises a keyframe by it.
// H264: browsers split at NAL units, and receivers keep back a keyframe until they have the parameter sets that its slice
//   header names. The parameter sets stay clear (they have the size and profile, nothing of the picture), and the
//   ciphertext is the content of one slice behind a header of its own, with emulation prevention, so that no start code
//   appears in it. It needs packetization mode 1: in mode 0 a NAL unit must fit into one packet.

import { type Bytes, joined } from './sframe';

export type Codec = 'opus' | 'vp8' | 'vp9' | 'av1' | 'h264';

const CODECS: Readonly<Record<string, Codec>> = {
  'audio/opus': 'opus',
  'audio/red': 'opus',
  'video/vp8': 'vp8',
  'video/vp9': 'vp9',
  'video/av1': 'av1',
  'video/h264': 'h264',
};

/** Null for a codec whose frames would not survive. */
export function codecOf(mimeType: string): Codec | null {
  return CODECS[mimeType.toLowerCase()] ?? null;
}

/** Puts ciphertext into the form that the codec needs. Null if the frame is not one of the codec. */
export function wrapFrame(codec: Codec, plain: Uint8Array, sealed: Uint8Array, isKey: boolean): Bytes | null {
  switch (codec) {
    case 'opus':
    case 'vp9':
      return new Uint8Array(sealed);
    case 'vp8':
      return joined(isKey ? VP8_KEY : VP8_DELTA, sealed);
    case 'av1':
      return joined(isKey ? AV1_KEY : EMPTY, new Uint8Array([OBU_FRAME_HEADER, ...leb128(sealed.length)]), sealed);
    case 'h264':
      return wrapH264(plain, sealed);
  }
}

/** The ciphertext in what a receiver has put together; null if there is none. */
export function unwrapFrame(codec: Codec, data: Uint8Array): Uint8Array | null {
  switch (codec) {
    case 'opus':
    case 'vp9':
      return data;
    case 'vp8':
      return unwrapVp8(data);
    case 'av1':
      return unwrapAv1(data);
    case 'h264':
      return unwrapH264(data);
  }
}

// VP8: the first byte of a frame tag (RFC 6386 §9.1) and, of a keyframe, the start code and a size of 0 × 0: receivers
// read ten bytes of it.
const VP8_KEY = new Uint8Array([0x10, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0]);
const VP8_DELTA = new Uint8Array([0x11]);
const VP8_IS_DELTA = 0x01;

function unwrapVp8(data: Uint8Array): Uint8Array | null {
  const [first] = data;
  if (first === undefined) return null;
  const length = first & VP8_IS_DELTA ? VP8_DELTA.length : VP8_KEY.length;
  return data.length > length ? data.subarray(length) : null;
}

// AV1: an OBU of type OBU_FRAME with a size field (AV1 §5.3.2).
const OBU_FRAME = 6;
const OBU_FRAME_HEADER = (OBU_FRAME << 3) | 0x02;
const OBU_HAS_EXTENSION = 0x04;
const OBU_HAS_SIZE = 0x02;
/** An OBU of type OBU_SEQUENCE_HEADER with one byte: some packetizers drop an empty one. */
const AV1_KEY = new Uint8Array([(1 << 3) | OBU_HAS_SIZE, 1, 0]);
const EMPTY = new Uint8Array();
const LEB128_LEN_MAX = 8;

function leb128(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const more = rest > 0x7f;
    bytes.push((rest & 0x7f) | (more ? 0x80 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return bytes;
}

/** The content of the first frame OBU; others, as a temporal delimiter that a browser adds, are skipped. */
function unwrapAv1(data: Uint8Array): Uint8Array | null {
  let at = 0;
  while (at < data.length) {
    const header = data[at] ?? 0;
    at += header & OBU_HAS_EXTENSION ? 2 : 1;
    let size = data.length - at;
    if (header & OBU_HAS_SIZE) {
      const read = readLeb128(data, at);
      if (!read) return null;
      size = read.value;
      at = read.next;
    }
    if (size > data.length - at) return null;
    if (((header >> 3) & 0x0f) === OBU_FRAME) return size > 0 ? data.subarray(at, at + size) : null;
    at += size;
  }
  return null;
}

function readLeb128(data: Uint8Array, from: number): { value: number; next: number } | null {
  let value = 0;
  for (let index = 0; index < LEB128_LEN_MAX; index += 1) {
    const byte = data[from + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 128 ** index;
    if (!(byte & 0x80)) return { value, next: from + index + 1 };
  }
  return null;
}

// H264, Annex B: NAL units behind start codes.
const NAL_SLICE = 1;
const NAL_IDR = 5;
const NAL_SPS = 7;
const NAL_PPS = 8;
const START_CODE = new Uint8Array([0, 0, 0, 1]);
/** I and P: all slices of the picture are of this type (H.264 table 7-6). */
const SLICE_TYPE_I = 7;
const SLICE_TYPE_P = 5;
/** Ends a NAL unit, so that it does not end with a zero. */
const STOP_BYTE = 0x80;
/** More than the three numbers of a slice header that are read here can take. */
const SLICE_HEADER_LEN_MAX = 16;
const PPS_ID_MAX = 255;

function wrapH264(plain: Uint8Array, sealed: Uint8Array): Bytes | null {
  const units = nalUnits(plain);
  const slice = units.find((unit) => isSlice(unit));
  const [header] = slice ?? [];
  if (!slice || header === undefined) return null;
  const ppsId = sliceHeader(withoutEmulation(slice.subarray(1, 1 + SLICE_HEADER_LEN_MAX)))?.ppsId;
  if (ppsId === undefined || ppsId > PPS_ID_MAX) return null;
  const parameterSets = units.filter((unit) => nalType(unit) === NAL_SPS || nalType(unit) === NAL_PPS);
  const sliceType = nalType(slice) === NAL_IDR ? SLICE_TYPE_I : SLICE_TYPE_P;
  const bits = [0, sliceType, ppsId].map(expGolomb).join('');
  const content = joined(bytesOf(bits), sealed, new Uint8Array([STOP_BYTE]));
  const parts = [...parameterSets, joined(new Uint8Array([header]), withEmulation(content))];
  return joined(...parts.flatMap((part) => [START_CODE, part]));
}

function unwrapH264(data: Uint8Array): Uint8Array | null {
  const slice = nalUnits(data).find((unit) => isSlice(unit));
  const content = slice && withoutEmulation(slice.subarray(1));
  const header = content && sliceHeader(content);
  if (!content || !header) return null;
  let end = content.length;
  while (end > 0 && content[end - 1] === 0) end -= 1;
  const isWhole = content[end - 1] === STOP_BYTE && end - 1 > header.length;
  return isWhole ? content.subarray(header.length, end - 1) : null;
}

function nalType(unit: Uint8Array): number {
  return (unit[0] ?? 0) & 0x1f;
}

function isSlice(unit: Uint8Array): boolean {
  return nalType(unit) === NAL_SLICE || nalType(unit) === NAL_IDR;
}

/** Without their start codes, and without the zeros between them. */
function nalUnits(data: Uint8Array): Uint8Array[] {
  const units: Uint8Array[] = [];
  let start = -1;
  for (let at = 0; at + 2 < data.length; ) {
    const third = data[at + 2] ?? 0;
    if (third > 1) at += 3;
    else if (third === 1 && data[at + 1] === 0 && data[at] === 0) {
      if (start >= 0) units.push(withoutZeros(data.subarray(start, at)));
      start = at + 3;
      at = start;
    } else at += 1;
  }
  if (start >= 0) units.push(data.subarray(start));
  return units.filter((unit) => unit.length > 0);
}

function withoutZeros(unit: Uint8Array): Uint8Array {
  let end = unit.length;
  while (end > 0 && unit[end - 1] === 0) end -= 1;
  return unit.subarray(0, end);
}

/** A 3 after two zeros, if a byte of at most 3 follows (H.264 §7.4.1). */
function withEmulation(content: Uint8Array): Bytes {
  const escaped = new Uint8Array(Math.ceil(content.length * 1.5) + 1);
  let length = 0;
  let zeros = 0;
  for (const byte of content) {
    if (zeros === 2 && byte <= 3) {
      escaped[length++] = 3;
      zeros = 0;
    }
    escaped[length++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return escaped.slice(0, length);
}

function withoutEmulation(escaped: Uint8Array): Bytes {
  const content = new Uint8Array(escaped.length);
  let length = 0;
  let zeros = 0;
  for (const byte of escaped) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    content[length++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return content.slice(0, length);
}

/** The begin of a slice header: first macroblock, type and parameter set (H.264 §7.3.3); `length` in whole bytes. */
function sliceHeader(content: Uint8Array): { ppsId: number; length: number } | null {
  let bit = 0;
  const next = () => {
    const byte = content[bit >> 3];
    const value = byte === undefined ? null : (byte >> (7 - (bit & 7))) & 1;
    bit += 1;
    return value;
  };
  const number = () => {
    let zeros = 0;
    for (let value = next(); value !== 1; value = next()) {
      zeros += 1;
      if (value === null || zeros > 31) return null;
    }
    let sum = 1;
    for (let index = 0; index < zeros; index += 1) {
      const value = next();
      if (value === null) return null;
      sum = sum * 2 + value;
    }
    return sum - 1;
  };
  const [firstMacroblock, sliceType, ppsId] = [number(), number(), number()];
  if (firstMacroblock === null || sliceType === null || ppsId === null) return null;
  return { ppsId, length: Math.ceil(bit / 8) };
}

/** As text of zeros and ones. */
function expGolomb(value: number): string {
  const bits = (value + 1).toString(2);
  return '0'.repeat(bits.length - 1) + bits;
}

/** The last byte is filled up with ones. */
function bytesOf(bits: string): Bytes {
  const bytes = bits.match(/.{1,8}/g) ?? [];
  return new Uint8Array(bytes.map((byte) => Number.parseInt(byte.padEnd(8, '1'), 2)));
}
