// Identities, the secrets of two peers, and what people compare. A client has an identity key pair, which is remembered
// per user, and a key pair of its session. Two clients combine three Diffie-Hellman results (each identity with the
// other's session key, and both session keys): the identities authenticate, and a later theft of an identity reveals
// nothing of a former call. Bytes of the network never cause an exception: functions return null.

import { create } from '@bufbuild/protobuf';
import { Curve, type Hello, HelloSchema } from '../../gen/e2ee_pb';
import { type Bytes, joined } from './sframe';

export type CurveName = 'X25519' | 'P-256';

/** By preference: two clients use the first that both have. The number is that of the protocol. */
const CURVES: readonly { name: CurveName; id: Curve; publicLen: number; algorithm: EcKeyGenParams | Algorithm }[] = [
  { name: 'X25519', id: Curve.X25519, publicLen: 32, algorithm: { name: 'X25519' } },
  { name: 'P-256', id: Curve.P256, publicLen: 65, algorithm: { name: 'ECDH', namedCurve: 'P-256' } },
];
const SESSION_LEN = 16;
const SENDER_KEY_LEN = 32;
const NONCE_LEN = 12;
const SECRET_BITS = 256;

/** One key pair for each curve. The private keys cannot be read by the page. */
export type KeyPairs = ReadonlyMap<CurveName, CryptoKeyPair>;
/** Remembered per user. */
export type Identity = KeyPairs;

/** The curves of this browser. */
export async function curvesHere(): Promise<readonly CurveName[]> {
  const tried = await Promise.all(
    CURVES.map(({ name }) =>
      pairOf(name).then(
        () => name,
        () => null,
      ),
    ),
  );
  return tried.filter((name) => name !== null);
}

export async function makeKeyPairs(curves: readonly CurveName[]): Promise<KeyPairs> {
  return new Map(await Promise.all(curves.map(async (curve) => [curve, await pairOf(curve)] as const)));
}

async function pairOf(curve: CurveName): Promise<CryptoKeyPair> {
  const known = CURVES.find(({ name }) => name === curve);
  if (!known) throw new Error(`no curve ${curve}`);
  return (await crypto.subtle.generateKey(known.algorithm, false, ['deriveBits'])) as CryptoKeyPair;
}

/** The public keys of one client and session, after their check. */
export interface Greeting {
  readonly session: Uint8Array;
  readonly keys: readonly { readonly curve: CurveName; readonly identity: Uint8Array; readonly ephemeral: Uint8Array }[];
}

/** What this client is in one session. */
export interface OwnKeys {
  readonly identity: Identity;
  readonly ephemeral: KeyPairs;
  readonly greeting: Greeting;
}

/** The curves are those of the identity: a browser that learns another curve later keeps the identity it has. */
export async function makeOwnKeys(identity: Identity): Promise<OwnKeys> {
  const ephemeral = await makeKeyPairs([...identity.keys()]);
  const keys = CURVES.flatMap(({ name }) => {
    const pairs = [identity.get(name), ephemeral.get(name)] as const;
    return pairs[0] && pairs[1] ? [{ curve: name, pairs: [pairs[0], pairs[1]] as const }] : [];
  });
  const exported = keys.map(async ({ curve, pairs: [lasting, session] }) => ({
    curve,
    identity: await publicBytes(lasting),
    ephemeral: await publicBytes(session),
  }));
  const session = crypto.getRandomValues(new Uint8Array(SESSION_LEN));
  return { identity, ephemeral, greeting: { session, keys: await Promise.all(exported) } };
}

async function publicBytes({ publicKey }: CryptoKeyPair): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.exportKey('raw', publicKey));
}

export function helloOf({ session, keys }: Greeting, wantsReply: boolean): Hello {
  const entries = keys.map(({ curve, identity, ephemeral }) => ({ curve: curveId(curve), identity, ephemeral }));
  return create(HelloSchema, { session, keys: entries, wantsReply });
}

/** Null if a length is wrong, a curve is there twice, or none is known. Unknown curves are skipped. */
export function greetingOf({ session, keys }: Hello): Greeting | null {
  if (session.length !== SESSION_LEN) return null;
  const known = CURVES.flatMap(({ name, id, publicLen }) => {
    const entries = keys.filter(({ curve }) => curve === id);
    return entries.map(({ identity, ephemeral }) => ({ curve: name, publicLen, identity, ephemeral }));
  });
  const isRight = known.every(
    ({ curve, publicLen, identity, ephemeral }, index) =>
      identity.length === publicLen && ephemeral.length === publicLen && curve !== known[index - 1]?.curve,
  );
  if (!isRight || known.length === 0) return null;
  return { session, keys: known.map(({ curve, identity, ephemeral }) => ({ curve, identity, ephemeral })) };
}

function curveId(name: CurveName): Curve {
  return CURVES.find((curve) => curve.name === name)?.id ?? Curve.UNSPECIFIED;
}

/** The secrets of two peers, one for each direction. */
export interface Pair {
  readonly curve: CurveName;
  readonly toOther: CryptoKey;
  readonly fromOther: CryptoKey;
}

export interface Ends {
  readonly room: string;
  readonly ownId: string;
  readonly otherId: string;
}

/** Null if the clients have no curve in common, or a public key of the other is not valid. */
export async function makePair(own: OwnKeys, other: Greeting, ends: Ends): Promise<Pair | null> {
  const theirs = other.keys.find(({ curve }) => own.identity.has(curve));
  const [identity, ephemeral] = [theirs && own.identity.get(theirs.curve), theirs && own.ephemeral.get(theirs.curve)];
  if (!theirs || !identity || !ephemeral) return null;
  const isFirst = ends.ownId < ends.otherId;
  let results: readonly Bytes[];
  try {
    const [theirIdentity, theirEphemeral] = await Promise.all([
      importPublic(theirs.curve, theirs.identity),
      importPublic(theirs.curve, theirs.ephemeral),
    ]);
    const [mixedOwn, mixedOther, session] = await Promise.all([
      diffieHellman(identity, theirEphemeral),
      diffieHellman(ephemeral, theirIdentity),
      diffieHellman(ephemeral, theirEphemeral),
    ]);
    // Both ends take the same order: first that of the identity of the peer with the lower id.
    results = isFirst ? [mixedOwn, mixedOther, session] : [mixedOther, mixedOwn, session];
  } catch {
    return null;
  }
  const { greeting } = own;
  const salt = await hash(
    'SHA-256',
    text(ends.room),
    ...(isFirst
      ? [text(ends.ownId), encoded(greeting), text(ends.otherId), encoded(other)]
      : [text(ends.otherId), encoded(other), text(ends.ownId), encoded(greeting)]),
  );
  const secret = await crypto.subtle.importKey('raw', joined(...results), 'HKDF', false, ['deriveKey']);
  const derive = (from: string, to: string) => {
    const info = joined(text('leat e2ee 1 sender key'), framed(text(from)), framed(text(to)));
    const params = { name: 'HKDF', hash: 'SHA-256', salt, info };
    return crypto.subtle.deriveKey(params, secret, { name: 'AES-GCM', length: SECRET_BITS }, false, ['encrypt', 'decrypt']);
  };
  const [toOther, fromOther] = await Promise.all([derive(ends.ownId, ends.otherId), derive(ends.otherId, ends.ownId)]);
  return { curve: theirs.curve, toOther, fromOther };
}

async function importPublic(curve: CurveName, bytes: Uint8Array): Promise<CryptoKey> {
  const algorithm = curve === 'P-256' ? { name: 'ECDH', namedCurve: 'P-256' } : { name: 'X25519' };
  return crypto.subtle.importKey('raw', new Uint8Array(bytes), algorithm, false, []);
}

/** Rejects for a point that would give the same result for every private key. */
async function diffieHellman({ privateKey }: CryptoKeyPair, publicKey: CryptoKey): Promise<Bytes> {
  const params = { name: publicKey.algorithm.name, public: publicKey };
  const bits = new Uint8Array(await crypto.subtle.deriveBits(params, privateKey, SECRET_BITS));
  if (bits.every((byte) => byte === 0)) throw new Error('a public key of low order');
  return bits;
}

export interface Wrapped {
  readonly nonce: Uint8Array;
  readonly wrapped: Uint8Array;
}

export function makeSenderKey(): Bytes {
  return crypto.getRandomValues(new Uint8Array(SENDER_KEY_LEN));
}

export async function wrapKey({ toOther }: Pair, epoch: number, key: Uint8Array): Promise<Wrapped> {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_LEN));
  const params = { name: 'AES-GCM', iv, additionalData: u32(epoch) };
  return { nonce: iv, wrapped: new Uint8Array(await crypto.subtle.encrypt(params, toOther, new Uint8Array(key))) };
}

/** Null if it was not wrapped for this pair, direction and epoch. */
export async function unwrapKey({ fromOther }: Pair, epoch: number, { nonce, wrapped }: Wrapped): Promise<Bytes | null> {
  if (nonce.length !== NONCE_LEN) return null;
  const params = { name: 'AES-GCM', iv: new Uint8Array(nonce), additionalData: u32(epoch) };
  try {
    const key = new Uint8Array(await crypto.subtle.decrypt(params, fromOther, new Uint8Array(wrapped)));
    return key.length === SENDER_KEY_LEN ? key : null;
  } catch {
    return null;
  }
}

function u32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Of all identity keys of a client: one that is left out on the way changes it. Lower-case hexadecimal, 64 digits. */
export async function fingerprintOf({ keys }: Greeting): Promise<string> {
  const parts = keys.flatMap(({ curve, identity }) => [new Uint8Array([curveId(curve)]), identity]);
  const bytes = await hash('SHA-256', text('leat identity 1'), ...parts);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Twelve groups of five decimal digits; the same at both ends. */
export async function safetyNumber(one: string, other: string): Promise<string> {
  const sorted = [one, other].sort();
  const bytes = await hash('SHA-512', text('leat safety number 1'), ...sorted.map(text));
  const groups = Array.from({ length: SAFETY_GROUPS }, (_, index) => {
    const value = bytes.subarray(index * 5, index * 5 + 5).reduce((sum, byte) => sum * 256 + byte, 0);
    return String(value % 100_000).padStart(5, '0');
  });
  return groups.join(' ');
}

const SAFETY_GROUPS = 12;

/** Each part has its length before it, so two lists of parts never give the same bytes. */
async function hash(algorithm: 'SHA-256' | 'SHA-512', ...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest(algorithm, joined(...parts.map(framed))));
}

function framed(part: Uint8Array): Bytes {
  return joined(u32(part.length), part);
}

function encoded({ session, keys }: Greeting): Bytes {
  const parts = keys.flatMap(({ curve, identity, ephemeral }) => [new Uint8Array([curveId(curve)]), identity, ephemeral]);
  return joined(framed(session), ...parts.map(framed));
}

function text(value: string): Bytes {
  return new TextEncoder().encode(value);
}
