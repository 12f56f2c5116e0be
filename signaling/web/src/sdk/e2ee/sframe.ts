// SFrame (RFC 9605): header, key derivation, encryption and decryption with the two AES-GCM suites. Bytes of the network
// never cause an exception: decryption returns a value that names the failure. Which peer owns a key is decided elsewhere
// (`epochs.ts`).

/** AES_128_GCM_SHA256_128 and AES_256_GCM_SHA512_128 (RFC 9605 §4.5, table 1). */
export const AES_128_GCM_SHA256_128 = 0x0004;
export const AES_256_GCM_SHA512_128 = 0x0005;
export type CipherSuite = typeof AES_128_GCM_SHA256_128 | typeof AES_256_GCM_SHA512_128;

export type Bytes = Uint8Array<ArrayBuffer>;

const SUITES = {
  [AES_128_GCM_SHA256_128]: { hash: 'SHA-256', keyLen: 16 },
  [AES_256_GCM_SHA512_128]: { hash: 'SHA-512', keyLen: 32 },
} as const;
const NONCE_LEN = 12;
const TAG_LEN = 16;
/** One byte, a key id and a counter of at most 8 bytes each. */
export const HEADER_LEN_MAX = 17;
/** A frame of a video is far smaller; a longer one is not decrypted. */
export const FRAME_LEN_MAX = 16 * 1024 * 1024;
/**
 * The frames that one key encrypts. AES-GCM keeps its margin up to about 2^24.5 long messages for a key (RFC 8446 §5.5).
 * A camera with three layers of 60 frames a second reaches this after 26 hours; then a new key is due.
 */
export const FRAMES_PER_KEY = 2 ** 24;

const U64_MAX = 0xffff_ffff_ffff_ffffn;

export interface Header {
  readonly kid: bigint;
  readonly ctr: bigint;
  /** Of the header itself, in bytes. */
  readonly length: number;
}

/** RFC 9605 §4.3. A value below 8 is inside the first byte; a larger one follows, as short as possible. */
export function encodeHeader(kid: bigint, ctr: bigint): Bytes {
  const key = valueBytes(kid);
  const counter = valueBytes(ctr);
  const keyBits = key ? 0x8 | (key.length - 1) : Number(kid);
  const counterBits = counter ? 0x8 | (counter.length - 1) : Number(ctr);
  return joined(new Uint8Array([(keyBits << 4) | counterBits]), key ?? EMPTY, counter ?? EMPTY);
}

/** Null if the bytes end inside the header. */
export function decodeHeader(bytes: Uint8Array): Header | null {
  const first = bytes[0];
  if (first === undefined) return null;
  const keyLen = first & 0x80 ? ((first >> 4) & 0x7) + 1 : 0;
  const counterLen = first & 0x08 ? (first & 0x7) + 1 : 0;
  const length = 1 + keyLen + counterLen;
  if (bytes.length < length) return null;
  const kid = keyLen > 0 ? number(bytes.subarray(1, 1 + keyLen)) : BigInt((first >> 4) & 0x7);
  const ctr = counterLen > 0 ? number(bytes.subarray(1 + keyLen, length)) : BigInt(first & 0x7);
  return { kid, ctr, length };
}

/** Key and salt of one key id (RFC 9605 §4.4.2). */
export class SframeKey {
  private constructor(
    readonly kid: bigint,
    private readonly key: CryptoKey,
    private readonly salt: Uint8Array,
  ) {}

  static async derive(suite: CipherSuite, kid: bigint, baseKey: Uint8Array): Promise<SframeKey> {
    const { keyLen } = SUITES[suite];
    const [raw, salt] = await derivedBytes(suite, kid, baseKey);
    const key = await crypto.subtle.importKey('raw', raw.slice(0, keyLen), 'AES-GCM', false, ['encrypt', 'decrypt']);
    return new SframeKey(kid, key, salt);
  }

  /** The caller must not use a counter twice: see `SframeSender`. */
  async encrypt(ctr: bigint, plaintext: Uint8Array, metadata: Uint8Array = EMPTY): Promise<Bytes> {
    const header = encodeHeader(this.kid, ctr);
    const sealed = await crypto.subtle.encrypt(this.#params(ctr, joined(header, metadata)), this.key, own(plaintext));
    return joined(header, new Uint8Array(sealed));
  }

  /** Null if the authentication fails. `header` is that of `bytes`. */
  async decrypt(header: Header, bytes: Uint8Array, metadata: Uint8Array = EMPTY): Promise<Bytes | null> {
    const aad = joined(bytes.subarray(0, header.length), metadata);
    try {
      return new Uint8Array(
        await crypto.subtle.decrypt(this.#params(header.ctr, aad), this.key, own(bytes.subarray(header.length))),
      );
    } catch {
      return null;
    }
  }

  #params(ctr: bigint, additionalData: Bytes): AesGcmParams {
    return { name: 'AES-GCM', iv: nonceOf(this.salt, ctr), additionalData, tagLength: TAG_LEN * 8 };
  }
}

/** The AES key and the salt, as bytes; for the test vectors, too. */
export async function derivedBytes(suite: CipherSuite, kid: bigint, baseKey: Uint8Array): Promise<[Bytes, Bytes]> {
  const { hash, keyLen } = SUITES[suite];
  const base = await crypto.subtle.importKey('raw', own(baseKey), 'HKDF', false, ['deriveBits']);
  const derive = async (label: string, length: number) => {
    const params = { name: 'HKDF', hash, salt: EMPTY, info: labelBytes(label, kid, suite) };
    return new Uint8Array(await crypto.subtle.deriveBits(params, base, length * 8));
  };
  return [await derive(KEY_LABEL, keyLen), await derive(SALT_LABEL, NONCE_LEN)];
}

export const KEY_LABEL = 'SFrame 1.0 Secret key ';
export const SALT_LABEL = 'SFrame 1.0 Secret salt ';

export function labelBytes(label: string, kid: bigint, suite: CipherSuite): Bytes {
  const numbers = new Uint8Array(10);
  const view = new DataView(numbers.buffer);
  view.setBigUint64(0, kid);
  view.setUint16(8, suite);
  return joined(new TextEncoder().encode(label), numbers);
}

/** The salt, with the counter in its last eight bytes (RFC 9605 §4.4.3). */
export function nonceOf(salt: Uint8Array, ctr: bigint): Bytes {
  const nonce = new Uint8Array(salt);
  const view = new DataView(nonce.buffer);
  view.setBigUint64(NONCE_LEN - 8, view.getBigUint64(NONCE_LEN - 8) ^ ctr);
  return nonce;
}

/** One stream of a sender: a key id that no other stream has, and the only place that counts its frames. */
export class SframeSender {
  readonly #key: SframeKey;
  readonly #limit: number;
  #next = 0;

  /** The caller makes at most one sender for a key. */
  constructor(key: SframeKey, limit = FRAMES_PER_KEY) {
    this.#key = key;
    this.#limit = limit;
  }

  /** The key has encrypted as many frames as it may. */
  get isUsedUp(): boolean {
    return this.#next >= this.#limit;
  }

  /** Null when the key is used up. The counter is taken before the encryption starts, so two calls never share one. */
  async seal(plaintext: Uint8Array, metadata?: Uint8Array): Promise<Bytes | null> {
    if (this.isUsedUp) return null;
    const ctr = this.#next;
    this.#next += 1;
    return this.#key.encrypt(BigInt(ctr), plaintext, metadata);
  }
}

/** Why a frame was not decrypted. */
export type OpenFailure =
  /** The header is cut, or the rest is shorter than an authentication tag or longer than a frame may be. */
  | 'malformed'
  /** There is no key for this key id, at least not yet. */
  | 'unknownKey'
  /** The frame was encrypted with another key or changed on the way. */
  | 'wrongKey';

export type Opened = { ok: true; plaintext: Bytes; header: Header } | { ok: false; why: OpenFailure; kid: bigint | null };

/** Decrypts a frame with the key that `keyOf` has for its key id. */
export async function open(
  bytes: Uint8Array,
  keyOf: (kid: bigint) => SframeKey | null | Promise<SframeKey | null>,
  metadata?: Uint8Array,
): Promise<Opened> {
  const header = decodeHeader(bytes);
  if (!header || bytes.length < header.length + TAG_LEN || bytes.length > FRAME_LEN_MAX) {
    return { ok: false, why: 'malformed', kid: header?.kid ?? null };
  }
  const key = await keyOf(header.kid);
  if (!key) return { ok: false, why: 'unknownKey', kid: header.kid };
  const plaintext = await key.decrypt(header, bytes, metadata);
  return plaintext ? { ok: true, plaintext, header } : { ok: false, why: 'wrongKey', kid: header.kid };
}

const EMPTY: Bytes = new Uint8Array(0);

export function joined(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** WebCrypto does not read shared memory. */
function own(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : new Uint8Array(bytes);
}

/** Big-endian without leading zeros; null for a value that fits into the first byte. */
function valueBytes(value: bigint): Bytes | null {
  if (value < 0n || value > U64_MAX) throw new RangeError(`${value} is not an unsigned number of 64 bits`);
  if (value < 8n) return null;
  const bytes: number[] = [];
  for (let rest = value; rest > 0n; rest >>= 8n) bytes.unshift(Number(rest & 0xffn));
  return new Uint8Array(bytes);
}

function number(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
