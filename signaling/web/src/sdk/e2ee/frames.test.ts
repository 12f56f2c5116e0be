import { describe, expect, test } from 'vitest';
import { type Codec, codecOf, unwrapFrame, wrapFrame } from './frames';
import { joined } from './sframe';
import { seeded } from './testing';

const CODECS: Codec[] = ['opus', 'vp8', 'vp9', 'av1', 'h264'];
const START = new Uint8Array([0, 0, 0, 1]);
const SHORT_START = new Uint8Array([0, 0, 1]);
const SPS = new Uint8Array([0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40]);
const PPS = new Uint8Array([0x68, 0xce, 0x3c, 0x80]);
/** Slice headers that name the parameter set 0: ue(0), ue(7) or ue(5), ue(0). */
const IDR = new Uint8Array([0x65, 0x88, 0x84, 0x21, 0xa0]);
const DELTA = new Uint8Array([0x41, 0x9a, 0x24, 0x6c]);

type Random = ReturnType<typeof seeded>;

/** Bytes with many zeros, ones and threes, as in start codes and emulation prevention. */
function difficult(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => (random.chance(0.7) ? random.below(4) : random.below(256)));
}

/** A whole frame of H264, as an encoder makes it. */
function h264Frame(random: Random, isKey: boolean): Uint8Array {
  const slices = Array.from({ length: 1 + random.below(3) }, () =>
    joined(isKey ? IDR : DELTA, random.bytes(random.below(50)), DELTA),
  );
  const units = [...(isKey ? [SPS, PPS] : []), ...slices];
  return joined(...units.flatMap((unit) => [random.chance(0.5) ? START : SHORT_START, unit]));
}

function nalUnits(data: Uint8Array): Buffer[] {
  // latin1 keeps every byte. A start code may have one more zero before it; no unit ends with a zero.
  const units = Buffer.from(data).toString('latin1').split('\0\0\x01').slice(1);
  return units.map((unit) => Buffer.from(unit.endsWith('\0') ? unit.slice(0, -1) : unit, 'latin1'));
}

/** Splits at NAL units and, into fragments, by size, as RFC 6184 does; and puts together as a receiver does. */
function throughH264Packets(data: Uint8Array): Uint8Array {
  const parts = nalUnits(data).flatMap((unit) => {
    const header = unit.subarray(0, 1);
    const fragments: Uint8Array[] = [];
    for (let at = 1; at < unit.length; at += 20) fragments.push(unit.subarray(at, at + 20));
    return [START, header, ...fragments];
  });
  return joined(...parts);
}

describe('frames', () => {
  test('codecs by their MIME type', () => {
    expect(codecOf('video/VP8')).toBe('vp8');
    expect(codecOf('audio/opus')).toBe('opus');
    expect(codecOf('video/H265')).toBeNull();
    expect(codecOf('')).toBeNull();
  });

  test.each(CODECS)('%s: every ciphertext comes back, of key and delta frames', (codec) => {
    const random = seeded(11);
    for (let round = 0; round < 500; round += 1) {
      const isKey = random.chance(0.3);
      const plain = codec === 'h264' ? h264Frame(random, isKey) : random.bytes(40);
      const sealed = difficult(random, 17 + random.below(400));
      const data = wrapFrame(codec, plain, sealed, isKey);
      if (!data) throw new Error('not wrapped');
      const arrived = codec === 'h264' ? throughH264Packets(data) : data;
      expect(Buffer.from(unwrapFrame(codec, arrived) ?? []).equals(Buffer.from(sealed))).toBe(true);
    }
  });

  test.each(CODECS)('%s: random bytes from the network cause no exception', (codec) => {
    const random = seeded(12);
    for (let round = 0; round < 3_000; round += 1) {
      unwrapFrame(codec, random.chance(0.5) ? difficult(random, random.below(60)) : random.bytes(random.below(60)));
    }
    expect(unwrapFrame(codec === 'opus' || codec === 'vp9' ? 'vp8' : codec, new Uint8Array(0))).toBeNull();
  });

  test.each(CODECS)('%s: no eight bytes of the plain frame are in the encrypted one, but for parameter sets', (codec) => {
    const random = seeded(13);
    for (let round = 0; round < 50; round += 1) {
      const plain = codec === 'h264' ? joined(START, SPS, START, PPS, START, IDR, random.bytes(100), DELTA) : random.bytes(100);
      const data = wrapFrame(codec, plain, random.bytes(116), true);
      if (!data) throw new Error('not wrapped');
      const picture = Buffer.from(plain).subarray(codec === 'h264' ? 8 + SPS.length + PPS.length + 4 : 0);
      for (let at = 0; at + 8 <= picture.length; at += 1) {
        expect(Buffer.from(data).includes(picture.subarray(at, at + 8))).toBe(false);
      }
    }
  });
});

describe('VP8', () => {
  test('the keyframe bit is as in the frame', () => {
    expect((wrapFrame('vp8', new Uint8Array(9), new Uint8Array(20), true)?.[0] ?? 1) & 1).toBe(0);
    expect((wrapFrame('vp8', new Uint8Array(9), new Uint8Array(20), false)?.[0] ?? 0) & 1).toBe(1);
  });
});

describe('AV1', () => {
  test('one OBU of type frame with its size; a temporal delimiter before it is skipped', () => {
    const sealed = new Uint8Array(300).fill(9);
    const data = wrapFrame('av1', new Uint8Array(9), sealed, false);
    expect(Array.from(data?.subarray(0, 3) ?? [])).toEqual([0x32, 0xac, 0x02]);
    const delimited = joined(new Uint8Array([0x12, 0x00]), data ?? new Uint8Array());
    expect(Buffer.from(unwrapFrame('av1', delimited) ?? []).equals(Buffer.from(sealed))).toBe(true);
  });

  test('a keyframe begins with a sequence header, by which a server recognises it', () => {
    const sealed = new Uint8Array(300).fill(9);
    const data = wrapFrame('av1', new Uint8Array(9), sealed, true) ?? new Uint8Array();
    expect(Array.from(data.subarray(0, 6))).toEqual([0x0a, 1, 0, 0x32, 0xac, 0x02]);
    expect(Buffer.from(unwrapFrame('av1', data) ?? []).equals(Buffer.from(sealed))).toBe(true);
  });
});

describe('H264', () => {
  test('parameter sets stay as they are, and one slice has the type and the parameter set of the first', () => {
    const plain = joined(START, SPS, START, PPS, START, IDR, START, IDR);
    const units = nalUnits(wrapFrame('h264', plain, new Uint8Array(30), true) ?? new Uint8Array());
    expect(units.length).toBe(3);
    expect(units[0]?.equals(Buffer.from(SPS))).toBe(true);
    expect(units[1]?.equals(Buffer.from(PPS))).toBe(true);
    // The header of an IDR slice; first macroblock 0, type 7, parameter set 0, filled up with ones.
    expect(Array.from(units[2]?.subarray(0, 3) ?? [])).toEqual([0x65, 0x88, 0xff]);
  });

  test('a parameter set with a larger id is kept', () => {
    // ue(0) ue(5) ue(3): 1 00110 00100, and ones.
    const plain = joined(START, new Uint8Array([0x41, 0b10011000, 0b10011111, 7]));
    const [unit] = nalUnits(wrapFrame('h264', plain, new Uint8Array(30), false) ?? new Uint8Array());
    expect(Array.from(unit?.subarray(0, 3) ?? [])).toEqual([0x41, 0b10011000, 0b10011111]);
  });

  test('no start code and no other forbidden bytes are in the slice', () => {
    const random = seeded(14);
    for (let round = 0; round < 300; round += 1) {
      const data = wrapFrame('h264', joined(START, DELTA), difficult(random, 200), false) ?? new Uint8Array();
      for (let at = START.length; at + 2 < data.length; at += 1) {
        expect(data[at] === 0 && data[at + 1] === 0 && (data[at + 2] ?? 0) <= 2).toBe(false);
      }
      expect(data.at(-1)).toBe(0x80);
    }
  });

  test('a frame without a slice is not wrapped', () => {
    expect(wrapFrame('h264', joined(START, SPS), new Uint8Array(30), true)).toBeNull();
    expect(wrapFrame('h264', new Uint8Array(0), new Uint8Array(30), true)).toBeNull();
  });

  test('ciphertext that was cut is not returned', () => {
    const data = wrapFrame('h264', joined(START, DELTA), new Uint8Array(30).fill(5), false) ?? new Uint8Array();
    expect(unwrapFrame('h264', data.subarray(0, data.length - 3))).toBeNull();
  });
});
