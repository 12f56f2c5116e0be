import { describe, expect, test } from 'vitest';
import { epochOf, kidOf, SendingKeys, type SendingStream, STREAMS_PER_EPOCH, SUITE } from './sending';
import { decodeHeader, derivedBytes, nonceOf, open, SframeKey } from './sframe';
import { seeded } from './testing';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('key ids', () => {
  test('epoch and stream are in the key id', () => {
    expect(epochOf(kidOf(1, 0))).toBe(1);
    expect(epochOf(kidOf(0xffff_ffff, STREAMS_PER_EPOCH - 1))).toBe(0xffff_ffff);
    expect(epochOf(0n)).toBeNull();
    expect(epochOf(kidOf(0xffff_ffff, STREAMS_PER_EPOCH))).toBeNull();
    expect(epochOf(2n ** 64n - 1n)).toBeNull();
  });
});

describe('sending keys', () => {
  test('without an epoch nothing is encrypted', async () => {
    expect(await new SendingKeys().stream().seal(new Uint8Array(3))).toBeNull();
  });

  test('an epoch that was in use does not start again', () => {
    const keys = new SendingKeys();
    expect(keys.start(2, new Uint8Array(32))).toBe(true);
    expect(keys.start(2, new Uint8Array(32).fill(1))).toBe(false);
    expect(keys.start(1, new Uint8Array(32))).toBe(false);
    expect(keys.epoch).toBe(2);
  });

  test('when the key ids of an epoch are used up, nothing is sent until the next epoch', async () => {
    let usedUp = 0;
    const keys = new SendingKeys(() => {
      usedUp += 1;
    });
    keys.start(1, new Uint8Array(32));
    for (let index = 0; index < STREAMS_PER_EPOCH; index += 1) await keys.stream().seal(new Uint8Array(1));
    expect(usedUp).toBe(0);
    const late = keys.stream();
    expect(await late.seal(new Uint8Array(1))).toBeNull();
    expect(usedUp).toBe(1);
    keys.start(2, new Uint8Array(32));
    expect(await late.seal(new Uint8Array(1))).not.toBeNull();
  });

  test('when a key has encrypted all it may, a new epoch is requested', async () => {
    let usedUp = 0;
    const keys = new SendingKeys(() => {
      usedUp += 1;
    });
    keys.start(1, new Uint8Array(32));
    const stream = keys.stream(2);
    expect(await stream.seal(new Uint8Array(1))).not.toBeNull();
    expect(usedUp).toBe(0);
    expect(await stream.seal(new Uint8Array(1))).not.toBeNull();
    expect(usedUp).toBe(1);
    expect(await stream.seal(new Uint8Array(1))).toBeNull();
  });

  // A property: whatever a client does, in whichever order, no AES key is used twice with the same nonce.
  test.each([1, 2, 3, 4, 5])(
    'no key and nonce twice: epochs, reloads, several streams, parallel frames (seed %i)',
    async (seed) => {
      const random = seeded(seed);
      const used = new Set<string>();
      const keysByKid = new Map<string, Promise<[Uint8Array, Uint8Array]>>();
      let frames = 0;
      for (let reload = 0; reload < 3; reload += 1) {
        const keys = new SendingKeys();
        const streams: SendingStream[] = [];
        let baseKey: Uint8Array = new Uint8Array();
        let epoch = 0;
        for (let step = 0; step < 60; step += 1) {
          if (epoch === 0 || random.chance(0.1)) {
            epoch += 1 + random.below(3);
            baseKey = crypto.getRandomValues(new Uint8Array(32));
            keys.start(epoch, baseKey);
          }
          // A repeated start must have no effect, not even with another key.
          if (random.chance(0.1)) keys.start(1 + random.below(epoch), random.bytes(32));
          if (streams.length === 0 || random.chance(0.2)) streams.push(keys.stream());
          if (streams.length > 1 && random.chance(0.1)) streams.splice(random.below(streams.length), 1);
          const parallel = Array.from({ length: 1 + random.below(8) }, () =>
            streams[random.below(streams.length)]?.seal(random.bytes(9)),
          );
          for (const frame of await Promise.all(parallel)) {
            if (!frame) throw new Error('no frame');
            const header = decodeHeader(frame);
            if (!header) throw new Error('no header');
            expect(epochOf(header.kid)).toBe(epoch);
            const name = `${hex(baseKey)} ${header.kid}`;
            const derived = keysByKid.get(name) ?? derivedBytes(SUITE, header.kid, baseKey);
            keysByKid.set(name, derived);
            const [key, salt] = await derived;
            used.add(`${hex(key)} ${hex(nonceOf(salt, header.ctr))}`);
            frames += 1;
            // The test derived the key that the frame was encrypted with.
            if (header.ctr === 0n) expect((await open(frame, (kid) => SframeKey.derive(SUITE, kid, baseKey))).ok).toBe(true);
          }
        }
      }
      expect(frames).toBeGreaterThan(500);
      expect(used.size).toBe(frames);
    },
  );
});
