import { describe, expect, test } from 'vitest';
import type { Curve } from '../../gen/e2ee_pb';
import {
  type CurveName,
  curvesHere,
  fingerprintOf,
  type Greeting,
  greetingOf,
  helloOf,
  makeKeyPairs,
  makeOwnKeys,
  makePair,
  makeSenderKey,
  type OwnKeys,
  safetyNumber,
  unwrapKey,
  wrapKey,
} from './keys';
import { seeded } from './testing';

const own = async (...curves: CurveName[]) => makeOwnKeys(await makeKeyPairs(curves));
const ADA = { room: 'lobby', ownId: 'ada-1', otherId: 'grace-1' };
const GRACE = { room: 'lobby', ownId: 'grace-1', otherId: 'ada-1' };

/** Null if the two do not understand each other. */
async function passes(from: [OwnKeys, Greeting, typeof ADA], to: [OwnKeys, Greeting, typeof ADA]): Promise<boolean | null> {
  const [sender, receiver] = [await makePair(...from), await makePair(...to)];
  if (!sender || !receiver) return null;
  const key = makeSenderKey();
  const unwrapped = await unwrapKey(receiver, 3, await wrapKey(sender, 3, key));
  return unwrapped !== null && Buffer.from(unwrapped).equals(Buffer.from(key));
}

describe('pairs', () => {
  test('this Node.js has both curves', async () => {
    expect(await curvesHere()).toEqual(['X25519', 'P-256']);
  });

  test.each([
    [['X25519', 'P-256'], ['X25519', 'P-256'], 'X25519'],
    [['X25519', 'P-256'], ['P-256'], 'P-256'],
    [['P-256'], ['X25519', 'P-256'], 'P-256'],
  ] as [CurveName[], CurveName[], CurveName][])('%j and %j agree on %s, in both directions', async (one, other, curve) => {
    const [ada, grace] = [await own(...one), await own(...other)];
    expect((await makePair(ada, grace.greeting, ADA))?.curve).toBe(curve);
    expect(await passes([ada, grace.greeting, ADA], [grace, ada.greeting, GRACE])).toBe(true);
    expect(await passes([grace, ada.greeting, GRACE], [ada, grace.greeting, ADA])).toBe(true);
  });

  test('without a curve in common there is no pair', async () => {
    const [ada, grace] = [await own('X25519'), await own('P-256')];
    expect(await makePair(ada, grace.greeting, ADA)).toBeNull();
  });

  test('another room, another id or another session gives other secrets', async () => {
    const [ada, grace] = [await own('P-256'), await own('P-256')];
    const from = [ada, grace.greeting, ADA] as [OwnKeys, Greeting, typeof ADA];
    expect(await passes(from, [grace, ada.greeting, { ...GRACE, room: 'other' }])).toBe(false);
    expect(await passes(from, [grace, ada.greeting, { ...GRACE, ownId: 'grace-2' }])).toBe(false);
    const again = await makeOwnKeys(grace.identity);
    expect(await passes(from, [again, ada.greeting, GRACE])).toBe(false);
    // A server that removes a curve from one Hello cannot make the two use the other unnoticed.
    const [both, also] = [await own('X25519', 'P-256'), await own('X25519', 'P-256')];
    const cut = (greeting: Greeting) => ({ ...greeting, keys: greeting.keys.slice(1) });
    expect(await passes([both, cut(also.greeting), ADA], [also, cut(both.greeting), GRACE])).toBe(false);
  });

  test('keys of one direction, epoch or pair are of no use in another', async () => {
    const [ada, grace, eve] = [await own('X25519'), await own('X25519'), await own('X25519')];
    const pair = await makePair(ada, grace.greeting, ADA);
    const received = await makePair(grace, ada.greeting, GRACE);
    const other = await makePair(eve, ada.greeting, GRACE);
    if (!pair || !received || !other) throw new Error('no pair');
    const wrapped = await wrapKey(pair, 1, makeSenderKey());
    expect(await unwrapKey(received, 1, wrapped)).not.toBeNull();
    expect(await unwrapKey(received, 2, wrapped)).toBeNull();
    expect(await unwrapKey(pair, 1, wrapped)).toBeNull();
    expect(await unwrapKey(other, 1, wrapped)).toBeNull();
    expect(await unwrapKey(received, 1, { ...wrapped, nonce: new Uint8Array(0) })).toBeNull();
    expect(await unwrapKey(received, 1, { ...wrapped, wrapped: new Uint8Array(3) })).toBeNull();
  });

  test('public keys that are not valid give no pair', async () => {
    const zeros = { session: new Uint8Array(16), keys: [] as Greeting['keys'][number][] };
    const x25519 = { curve: 'X25519' as const, identity: new Uint8Array(32), ephemeral: new Uint8Array(32) };
    const p256 = { curve: 'P-256' as const, identity: new Uint8Array(65).fill(4), ephemeral: new Uint8Array(65).fill(4) };
    expect(await makePair(await own('X25519'), { ...zeros, keys: [x25519] }, ADA)).toBeNull();
    expect(await makePair(await own('P-256'), { ...zeros, keys: [p256] }, ADA)).toBeNull();
  });

  test('random public keys never cause an exception', async () => {
    const random = seeded(4);
    const mine = await own('X25519', 'P-256');
    for (let round = 0; round < 100; round += 1) {
      const [curve, length] = random.chance(0.5) ? (['X25519', 32] as const) : (['P-256', 65] as const);
      const keys = [{ curve, identity: random.bytes(length), ephemeral: random.bytes(length) }];
      await makePair(mine, { session: random.bytes(16), keys }, ADA);
    }
  });
});

describe('Hello', () => {
  test('survives the way, and a wrong one is refused', async () => {
    const { greeting } = await own('X25519', 'P-256');
    const hello = helloOf(greeting, true);
    expect(greetingOf(hello)).toEqual(greeting);
    const [x25519, p256] = hello.keys;
    if (!x25519 || !p256) throw new Error('no keys');
    expect(greetingOf({ ...hello, session: new Uint8Array(15) })).toBeNull();
    expect(greetingOf({ ...hello, keys: [] })).toBeNull();
    expect(greetingOf({ ...hello, keys: [x25519, x25519] })).toBeNull();
    expect(greetingOf({ ...hello, keys: [{ ...p256, identity: new Uint8Array(64) }] })).toBeNull();
    // A curve of a later version.
    expect(greetingOf({ ...hello, keys: [{ ...x25519, curve: 99 as Curve }, p256] })?.keys.length).toBe(1);
  });

  test('the private keys cannot be exported', async () => {
    const pairs = await makeKeyPairs(['X25519', 'P-256']);
    for (const { privateKey } of pairs.values()) expect(privateKey.extractable).toBe(false);
  });
});

describe('safety number', () => {
  test('60 digits, the same at both ends, and another one for every other identity', async () => {
    const ada = await own('X25519', 'P-256');
    const [first, second] = [await fingerprintOf(ada.greeting), await fingerprintOf((await own('P-256')).greeting)];
    const number = await safetyNumber(first, second);
    expect(number).toMatch(/^(\d{5} ){11}\d{5}$/);
    expect(await safetyNumber(second, first)).toBe(number);
    expect(await safetyNumber(first, await fingerprintOf((await own('P-256')).greeting))).not.toBe(number);
    // A later session of the same identity.
    const again = await fingerprintOf((await makeOwnKeys(ada.identity)).greeting);
    expect(await safetyNumber(again, second)).toBe(number);
    // A curve that the server has removed.
    const cut = await fingerprintOf({ ...ada.greeting, keys: ada.greeting.keys.slice(1) });
    expect(await safetyNumber(cut, second)).not.toBe(number);
  });

  test('a known value', async () => {
    expect(await safetyNumber('00'.repeat(32), 'ff'.repeat(32))).toMatchInlineSnapshot(
      `"41556 27804 79366 11861 85205 10732 38051 62214 54404 52386 16612 96944"`,
    );
  });
});
