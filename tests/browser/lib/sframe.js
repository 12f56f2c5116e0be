// SFrame (RFC 9605) for tests, written apart from the SDK: the suite AES_256_GCM_SHA512_128.

import { createDecipheriv, hkdfSync } from 'node:crypto';

const SUITE = 5;
const HASH = 'sha512';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The key id, the counter, and the length of the header (§4.3); null if the bytes end inside it. */
export function headerOf(bytes) {
  const [first] = bytes;
  if (first === undefined) return null;
  let at = 1;
  const value = (bits) => {
    if (!(bits & 8)) return BigInt(bits);
    const length = (bits & 7) + 1;
    const hex = bytes.subarray(at, at + length).toString('hex');
    at += length;
    return hex === '' ? 0n : BigInt(`0x${hex}`);
  };
  const kid = value(first >> 4);
  const counter = value(first & 15);
  return at <= bytes.length ? { kid, counter, length: at } : null;
}

/** Key and salt of a key id (§4.4.2). */
function derive(base, kid, label, length) {
  const numbers = Buffer.alloc(10);
  numbers.writeBigUInt64BE(kid);
  numbers.writeUInt16BE(SUITE, 8);
  return Buffer.from(hkdfSync(HASH, base, '', Buffer.concat([Buffer.from(label), numbers]), length));
}

/** The plaintext; null if the key is not the right one. `metadata`: what is authenticated beside the header. */
export function opened(bytes, base, metadata) {
  const { kid, counter, length } = headerOf(bytes);
  const key = derive(base, kid, 'SFrame 1.0 Secret key ', KEY_BYTES);
  const nonce = derive(base, kid, 'SFrame 1.0 Secret salt ', NONCE_BYTES);
  for (let at = 0; at < 8; at += 1) nonce[NONCE_BYTES - 1 - at] ^= Number((counter >> BigInt(8 * at)) & 255n);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([bytes.subarray(0, length), Buffer.from(metadata)]));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(length, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}
