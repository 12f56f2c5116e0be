// The vectors in sframe_vectors.json are those of RFC 9605, appendix C: all 289 of the header (C.1), and those of SFrame
// itself (C.3) for the suites 0x0004 and 0x0005. Key ids and counters of the header are hexadecimal. They were taken from
// test-vectors/test-vectors.json of the repository sframe-wg/sframe, which the RFC was made from.

import { createHmac, hkdfSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  AES_128_GCM_SHA256_128,
  type CipherSuite,
  decodeHeader,
  derivedBytes,
  encodeHeader,
  HEADER_LEN_MAX,
  KEY_LABEL,
  labelBytes,
  nonceOf,
  open,
  SALT_LABEL,
  SframeKey,
  SframeSender,
} from './sframe';
import vectors from './sframe_vectors.json';
import { seeded } from './testing';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const fromHex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));

describe('the vectors of RFC 9605', () => {
  test('there are as many as in the RFC', () => {
    expect(vectors.header.length).toBe(289);
    expect(vectors.sframe.map(({ cipher_suite }) => cipher_suite)).toEqual([4, 5]);
  });

  test('header', () => {
    for (const [kidHex, ctrHex, encoded] of vectors.header as [string, string, string][]) {
      const [kid, ctr] = [BigInt(`0x${kidHex}`), BigInt(`0x${ctrHex}`)];
      expect(hex(encodeHeader(kid, ctr))).toBe(encoded);
      expect(decodeHeader(fromHex(encoded))).toEqual({ kid, ctr, length: encoded.length / 2 });
    }
  });

  test.each(vectors.sframe)('suite $cipher_suite', async (vector) => {
    const suite = vector.cipher_suite as CipherSuite;
    const [kid, ctr] = [BigInt(vector.kid), BigInt(vector.ctr)];
    const baseKey = fromHex(vector.base_key);
    expect(hex(labelBytes(KEY_LABEL, kid, suite))).toBe(vector.sframe_key_label);
    expect(hex(labelBytes(SALT_LABEL, kid, suite))).toBe(vector.sframe_salt_label);
    // HKDF-Extract with an empty salt, which WebCrypto does not show.
    const hash = suite === AES_128_GCM_SHA256_128 ? 'sha256' : 'sha512';
    expect(createHmac(hash, '').update(baseKey).digest('hex')).toBe(vector.sframe_secret);
    const [key, salt] = await derivedBytes(suite, kid, baseKey);
    expect(hex(key)).toBe(vector.sframe_key);
    expect(hex(salt)).toBe(vector.sframe_salt);
    expect(hex(nonceOf(salt, ctr))).toBe(vector.nonce);
    const header = encodeHeader(kid, ctr);
    expect(hex(header) + vector.metadata).toBe(vector.aad);

    const sframe = await SframeKey.derive(suite, kid, baseKey);
    expect(hex(await sframe.encrypt(ctr, fromHex(vector.pt), fromHex(vector.metadata)))).toBe(vector.ct);
    const opened = await open(fromHex(vector.ct), (id) => (id === kid ? sframe : null), fromHex(vector.metadata));
    expect(opened.ok && hex(opened.plaintext)).toBe(vector.pt);
  });
});

describe('decryption', () => {
  const key = SframeKey.derive(AES_128_GCM_SHA256_128, 300n, new Uint8Array(32).fill(1));
  const sealed = async () => (await key).encrypt(9n, fromHex('0011223344'), fromHex('aa'));
  const keyOf = async (kid: bigint) => (kid === 300n ? key : null);

  test('every shorter piece of a frame fails without an exception', async () => {
    const whole = await sealed();
    for (let length = 0; length < whole.length; length += 1) {
      expect((await open(whole.subarray(0, length), keyOf, fromHex('aa'))).ok).toBe(false);
    }
    expect((await open(whole, keyOf, fromHex('aa'))).ok).toBe(true);
  });

  test('a flipped bit anywhere, or other metadata, is detected', async () => {
    const whole = await sealed();
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const changed = whole.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect((await open(changed, keyOf, fromHex('aa'))).ok).toBe(false);
    }
    expect(await open(whole, keyOf, fromHex('ab'))).toEqual({ ok: false, why: 'wrongKey', kid: 300n });
  });

  test('each failure has its own code', async () => {
    const whole = await sealed();
    const other = await SframeKey.derive(AES_128_GCM_SHA256_128, 300n, new Uint8Array(32).fill(2));
    expect(await open(new Uint8Array(0), keyOf)).toEqual({ ok: false, why: 'malformed', kid: null });
    expect(await open(whole.subarray(0, 10), keyOf)).toEqual({ ok: false, why: 'malformed', kid: 300n });
    expect(await open(whole, () => null)).toEqual({ ok: false, why: 'unknownKey', kid: 300n });
    expect(await open(whole, () => other, fromHex('aa'))).toEqual({ ok: false, why: 'wrongKey', kid: 300n });
  });

  test('random bytes never cause an exception', async () => {
    const random = seeded(1);
    for (let round = 0; round < 2_000; round += 1) {
      const bytes = random.bytes(random.below(64));
      expect((await open(bytes, async () => key)).ok).toBe(false);
      const header = decodeHeader(bytes);
      if (header) expect(header.length).toBeLessThanOrEqual(HEADER_LEN_MAX);
    }
  });
});

describe('sender', () => {
  test('counts without a gap, and takes the counter before the encryption starts', async () => {
    const key = await SframeKey.derive(AES_128_GCM_SHA256_128, 1n, new Uint8Array(16));
    const sender = new SframeSender(key);
    const frames = await Promise.all(Array.from({ length: 300 }, () => sender.seal(new Uint8Array(1))));
    expect(frames.map((frame) => frame && decodeHeader(frame)?.ctr)).toEqual(frames.map((_, index) => BigInt(index)));
  });

  test('a used key encrypts nothing more', async () => {
    const key = await SframeKey.derive(AES_128_GCM_SHA256_128, 1n, new Uint8Array(16));
    const sender = new SframeSender(key, 2);
    expect([await sender.seal(new Uint8Array(1)), await sender.seal(new Uint8Array(1))].every(Boolean)).toBe(true);
    expect(sender.isUsedUp).toBe(true);
    expect(await sender.seal(new Uint8Array(1))).toBeNull();
  });

  test('two key ids of one base key have different keys and salts', async () => {
    const base = new Uint8Array(32).fill(7);
    const derived = await Promise.all([0n, 1n, 255n, 256n].map((kid) => derivedBytes(AES_128_GCM_SHA256_128, kid, base)));
    expect(new Set(derived.flat().map(hex)).size).toBe(8);
    // The same by Node's HKDF, which is another implementation of it.
    const [key] = derived[0] as [Uint8Array, Uint8Array];
    const label = labelBytes(KEY_LABEL, 0n, AES_128_GCM_SHA256_128);
    expect(hex(key)).toBe(hex(new Uint8Array(hkdfSync('sha256', base, '', label, 16))));
  });
});
