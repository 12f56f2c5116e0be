import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type Hello, KeyMessageSchema } from '../../gen/e2ee_pb';
import { Epochs, KEYS_PER_PEER, type Output, PEERS_MAX, ROTATE_MIN_MS, SWITCH_MS } from './epochs';
import { type IdentityStore, MemoryIdentityStore } from './identity_store';
import { type CurveName, helloOf, type Identity, makeKeyPairs, makeOwnKeys } from './keys';
import { seeded } from './testing';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const helloMessage = (value: Hello) => toBinary(KeyMessageSchema, create(KeyMessageSchema, { body: { case: 'hello', value } }));
type Shown = Extract<Output, { do: 'showIdentity' }>;
type Message = { from: string; to: string; body: Uint8Array };

/** A client with everything that its worker would know. */
class Client {
  /** Its own key now: what its frames are encrypted with. */
  sending = '';
  readonly now = new Map<string, Map<number, string>>();
  /** Every key that it ever got, whatever it should have dropped. */
  readonly everReceived = new Set<string>();
  readonly shown: Shown[] = [];

  constructor(
    readonly id: string,
    readonly user: string,
    readonly epochs: Epochs,
  ) {}

  canRead(other: Client): boolean {
    return [...(this.now.get(other.id)?.values() ?? [])].includes(other.sending);
  }
}

/** A room with a server that passes messages on, in virtual time. */
class World {
  time = 0;
  readonly clients = new Map<string, Client>();
  readonly #queue: Message[] = [];
  /** What the server does with a message: the bodies to deliver. */
  server: (message: Message) => Uint8Array[] = ({ body }) => [body];
  /** All keys in use so far, with the client and the times of use. */
  readonly uses: { client: string; key: string; from: number }[] = [];
  largestBody = 0;

  async join(id: string, options: { user?: string; curves?: CurveName[]; store?: IdentityStore; identity?: Identity } = {}) {
    const { user = id, curves = ['P-256'], store = new MemoryIdentityStore() } = options;
    const identity = options.identity ?? (await store.own(user, () => makeKeyPairs(curves)));
    const client = new Client(id, user, new Epochs(await makeOwnKeys(identity), id, 'lobby', store));
    const others = [...this.clients.values()];
    this.clients.set(id, client);
    await this.apply(client, await client.epochs.handle({ on: 'start' }, this.time));
    for (const other of others) {
      await this.apply(client, await client.epochs.handle({ on: 'joined', peerId: other.id, user: other.user }, this.time));
      await this.apply(other, await other.epochs.handle({ on: 'joined', peerId: id, user }, this.time));
    }
    await this.settle();
    return client;
  }

  async leave(id: string): Promise<void> {
    this.clients.delete(id);
    for (const client of this.clients.values()) {
      await this.apply(client, await client.epochs.handle({ on: 'left', peerId: id }, this.time));
    }
    await this.settle();
  }

  async apply(client: Client, outputs: readonly Output[]): Promise<void> {
    for (const output of outputs) {
      switch (output.do) {
        case 'send':
          this.largestBody = Math.max(this.largestBody, output.body.length);
          for (const to of output.to) this.#queue.push({ from: client.id, to, body: output.body });
          break;
        case 'setSendKey':
          client.sending = hex(output.key);
          this.uses.push({ client: client.id, key: client.sending, from: this.time });
          break;
        case 'setReceiveKey': {
          const keys = client.now.get(output.peerId) ?? new Map();
          client.now.set(output.peerId, keys.set(output.epoch, hex(output.key)));
          client.everReceived.add(hex(output.key));
          expect(keys.size).toBeLessThanOrEqual(KEYS_PER_PEER + 1);
          break;
        }
        case 'dropReceiveKey':
          client.now.get(output.peerId)?.delete(output.epoch);
          break;
        case 'dropPeer':
          client.now.delete(output.peerId);
          break;
        case 'showIdentity':
          client.shown.push(output);
          break;
      }
    }
  }

  async settle(): Promise<void> {
    for (let message = this.#queue.shift(); message; message = this.#queue.shift()) {
      const { from, to } = message;
      for (const body of this.server(message)) {
        const client = this.clients.get(to);
        if (client) await this.apply(client, await client.epochs.handle({ on: 'message', from, body }, this.time));
      }
    }
  }

  /** Runs the timers; clients that cannot read a peer say so, as their workers would. */
  async run(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      const due = Math.min(...[...this.clients.values()].map(({ epochs }) => epochs.nextTimeout ?? Number.POSITIVE_INFINITY));
      if (due > end) break;
      this.time = Math.max(this.time, due);
      for (const client of this.clients.values()) {
        const timeout = client.epochs.nextTimeout;
        if (timeout === null || timeout > this.time) continue;
        await this.apply(client, await client.epochs.handle({ on: 'time' }, this.time));
        const next = client.epochs.nextTimeout;
        expect(next === null || next > this.time).toBe(true);
      }
      await this.settle();
    }
    this.time = end;
  }

  async reportMissing(): Promise<void> {
    for (const client of this.clients.values()) {
      for (const other of this.clients.values()) {
        if (other === client || client.canRead(other)) continue;
        await this.apply(client, await client.epochs.handle({ on: 'missingKey', peerId: other.id }, this.time));
      }
    }
    await this.settle();
  }

  expectAllRead(): void {
    for (const client of this.clients.values()) {
      for (const other of this.clients.values())
        if (client !== other) expect(client.canRead(other), `${client.id} of ${other.id}`).toBe(true);
    }
  }
}

describe('epochs', () => {
  test('two clients read each other, at once for the first pair', async () => {
    const world = new World();
    const [ada, grace] = [await world.join('ada'), await world.join('grace')];
    expect(ada.canRead(grace)).toBe(false);
    await world.run(100);
    world.expectAllRead();
    expect(ada.shown[0]?.safetyNumber).toBe(grace.shown[0]?.safetyNumber);
    expect(ada.shown.map(({ trust }) => trust)).toEqual(['new']);
  });

  test('clients with different curves read each other', async () => {
    const world = new World();
    await world.join('ada', { curves: ['X25519', 'P-256'] });
    await world.join('grace', { curves: ['P-256'] });
    await world.join('linus', { curves: ['X25519', 'P-256'] });
    await world.run(3_000);
    world.expectAllRead();
  });

  test('a peer that joins gets no key from before, and all change to new ones', async () => {
    const world = new World();
    await world.join('ada');
    await world.join('grace');
    await world.run(5_000);
    const before = [...world.clients.values()].map(({ sending }) => sending);
    const joinedAt = world.time;
    const late = await world.join('late');
    await world.run(5_000);
    world.expectAllRead();
    for (const key of before) expect(late.everReceived.has(key)).toBe(false);
    const used = world.uses.filter(({ from }) => from > joinedAt);
    // One key after the join for each.
    expect(used.map(({ client }) => client).sort()).toEqual(['ada', 'grace', 'late']);
  });

  test('a peer that left gets no key any more, and within 1,500 ms its keys are out of use', async () => {
    const world = new World();
    for (const id of ['ada', 'grace', 'linus']) await world.join(id);
    await world.run(5_000);
    const linus = world.clients.get('linus') as Client;
    await world.leave('linus');
    await world.run(ROTATE_MIN_MS + SWITCH_MS);
    world.expectAllRead();
    for (const client of world.clients.values()) expect(linus.everReceived.has(client.sending)).toBe(false);
    // Nothing of it is kept by the others.
    for (const client of world.clients.values()) expect(client.now.has('linus')).toBe(false);
  });

  test('many that join together cause few keys', async () => {
    const world = new World();
    for (let index = 0; index < 12; index += 1) await world.join(`peer-${index}`);
    await world.run(5_000);
    world.expectAllRead();
    // The first, and one or two more for all that joined at the same time.
    for (const { id } of world.clients.values())
      expect(world.uses.filter(({ client }) => client === id).length).toBeLessThanOrEqual(3);
  });

  test('the former key of a peer is dropped after a time', async () => {
    const world = new World();
    const [ada, grace] = [await world.join('ada'), await world.join('grace')];
    await world.run(5_000);
    await world.join('linus');
    await world.run(2_000);
    expect(ada.now.get('grace')?.size).toBe(2);
    await world.run(15_000);
    expect(ada.now.get('grace')?.size).toBe(1);
    expect(ada.canRead(grace)).toBe(true);
    expect(ada.epochs.nextTimeout).toBeNull();
  });

  test('a page that is loaded again under the same id gets new keys only', async () => {
    const world = new World();
    await world.join('ada');
    const store = new MemoryIdentityStore();
    await world.join('grace', { store });
    await world.run(5_000);
    const former = world.clients.get('ada')?.sending ?? '';
    world.clients.delete('grace');
    // The room does not see that it left.
    const again = await world.join('grace', { store });
    await world.run(5_000);
    world.expectAllRead();
    expect(again.everReceived.has(former)).toBe(false);
    expect(world.clients.get('ada')?.shown.map(({ trust }) => trust)).toEqual(['new', 'known']);
  });

  test('a used up key is replaced', async () => {
    const world = new World();
    const ada = await world.join('ada');
    await world.join('grace');
    await world.run(5_000);
    const former = ada.sending;
    await world.apply(ada, await ada.epochs.handle({ on: 'usedUp' }, world.time));
    await world.run(5_000);
    expect(ada.sending).not.toBe(former);
    world.expectAllRead();
  });

  test('a message stays below the limit of the server with as many peers as possible, and more get no key', async () => {
    const world = new World();
    const ada = await world.join('ada');
    const joiner = async (index: number) => {
      const id = `a-peer-with-a-rather-long-identifier-${index}`;
      const own = await makeOwnKeys(await makeKeyPairs(['P-256']));
      const other = new Epochs(own, id, 'lobby', new MemoryIdentityStore());
      await other.handle({ on: 'start' }, 0);
      const [hello] = await other.handle({ on: 'joined', peerId: 'ada', user: 'ada' }, 0);
      await world.apply(ada, await ada.epochs.handle({ on: 'joined', peerId: id, user: id }, world.time));
      if (hello?.do !== 'send') throw new Error('no Hello');
      await world.apply(ada, await ada.epochs.handle({ on: 'message', from: id, body: hello.body }, world.time));
    };
    for (let index = 0; index < PEERS_MAX + 5; index += 1) await joiner(index);
    expect(ada.shown.length).toBe(PEERS_MAX);
    await world.run(5_000);
    expect(world.largestBody).toBeGreaterThan(5_000);
    expect(world.largestBody).toBeLessThan(16_384);
  });
});

describe('a server that loses, repeats or changes messages', () => {
  test.each([1, 2, 3])('after losses all read all again (seed %i)', async (seed) => {
    const random = seeded(seed);
    const world = new World();
    world.server = ({ body }) => (random.chance(0.3) ? [] : random.chance(0.2) ? [body, body] : [body]);
    for (const id of ['ada', 'grace', 'linus', 'edsger']) {
      await world.join(id);
      await world.run(random.below(2_000));
    }
    for (let round = 0; round < 40; round += 1) {
      await world.run(1_100);
      await world.reportMissing();
    }
    world.expectAllRead();
  });

  test.each([1, 2, 3])('each client in the room reads all, and nothing of another time (seed %i)', async (seed) => {
    const random = seeded(seed);
    const world = new World();
    const present: { client: Client; from: number; to: number }[] = [];
    for (let step = 0; step < 25; step += 1) {
      const inside = present.filter(({ to }) => to === Number.POSITIVE_INFINITY);
      if (inside.length < 2 || random.chance(0.5)) {
        present.push({ client: await world.join(`peer-${step}`), from: world.time, to: Number.POSITIVE_INFINITY });
      } else {
        const leaver = inside[random.below(inside.length)];
        if (!leaver) continue;
        leaver.to = world.time;
        await world.leave(leaver.client.id);
      }
      await world.run(random.below(3_000));
    }
    await world.run(5_000);
    world.expectAllRead();
    const ends = world.uses.map(({ client, from }, index) => {
      const next = world.uses.slice(index + 1).find((use) => use.client === client);
      return { ...world.uses[index], from, to: next?.from ?? Number.POSITIVE_INFINITY };
    });
    let checked = 0;
    for (const { client, from, to } of present) {
      for (const use of ends) {
        if (use.client === client.id || !client.everReceived.has(use.key ?? '')) continue;
        // Not used before the client joined, nor begun after it left (but for a key that was on its way).
        expect(use.from).toBeGreaterThanOrEqual(from);
        expect(use.from).toBeLessThanOrEqual(to + SWITCH_MS);
        // Out of use soon after the client left.
        const left = present.find((other) => other.client.id === use.client)?.to ?? 0;
        if (to < left) expect(Math.min(use.to, left)).toBeLessThanOrEqual(to + ROTATE_MIN_MS + SWITCH_MS);
        checked += 1;
      }
    }
    expect(checked).toBeGreaterThan(20);
  });

  test('random and cut messages have no effect and cause no exception', async () => {
    const random = seeded(5);
    const world = new World();
    const [ada] = [await world.join('ada'), await world.join('grace')];
    await world.run(5_000);
    const bodies: Uint8Array[] = [];
    world.server = ({ body }) => {
      bodies.push(body);
      return [body];
    };
    await world.join('linus');
    await world.run(3_000);
    const made = world.uses.filter(({ client }) => client === 'grace').map(({ key }) => key);
    for (let round = 0; round < 300; round += 1) {
      const body = (bodies[random.below(bodies.length)] ?? new Uint8Array()).slice();
      if (random.chance(0.5)) body[random.below(body.length)] = random.below(256);
      const piece = random.chance(0.3) ? body.subarray(0, random.below(body.length)) : body;
      const from = random.chance(0.1) ? 'not-in-the-room' : 'grace';
      for (const output of await ada.epochs.handle({ on: 'message', from, body: piece }, world.time)) {
        if (output.do === 'setReceiveKey') expect(made).toContain(hex(output.key));
      }
    }
  });

  test('a peer that the server removes and adds again gets its key again', async () => {
    const world = new World();
    const [ada, grace] = [await world.join('ada'), await world.join('grace')];
    await world.run(5_000);
    await world.apply(ada, await ada.epochs.handle({ on: 'left', peerId: 'grace' }, world.time));
    expect(ada.canRead(grace)).toBe(false);
    await world.apply(ada, await ada.epochs.handle({ on: 'joined', peerId: 'grace', user: 'grace' }, world.time));
    await world.settle();
    for (let round = 0; round < 4; round += 1) {
      await world.run(1_100);
      await world.reportMissing();
    }
    world.expectAllRead();
  });

  test('a key that was lost is requested, also if the peer sends no frames', async () => {
    const world = new World();
    const ada = await world.join('ada');
    let lost = 0;
    world.server = ({ from, body }) => {
      const isKey = fromBinary(KeyMessageSchema, body).body.case === 'senderKey';
      if (isKey && from === 'grace' && lost < 2) {
        lost += 1;
        return [];
      }
      return [body];
    };
    const grace = await world.join('grace');
    await world.run(1_000);
    expect(ada.canRead(grace)).toBe(false);
    await world.run(30_000);
    expect(lost).toBe(2);
    expect(ada.canRead(grace)).toBe(true);
    expect(ada.epochs.nextTimeout).toBeNull();
  });

  test('an old key does not come back', async () => {
    const world = new World();
    const toAda: Uint8Array[] = [];
    const ada = await world.join('ada');
    world.server = ({ to, from, body }) => {
      if (to === 'ada' && from === 'grace') toAda.push(body);
      return [body];
    };
    const grace = await world.join('grace');
    await world.run(5_000);
    await world.join('linus');
    await world.run(30_000);
    expect(ada.everReceived.size).toBeGreaterThan(2);
    const latest = grace.sending;
    world.server = ({ body }) => [body];
    // With a Hello of the server between, which takes the place of the session for a moment.
    const evil = await makeOwnKeys(await makeKeyPairs(['P-256']));
    const fake = helloMessage(helloOf(evil.greeting, false));
    for (const body of [fake, ...toAda])
      await world.apply(ada, await ada.epochs.handle({ on: 'message', from: 'grace', body }, world.time));
    expect([...(ada.now.get('grace')?.values() ?? [])]).toEqual([latest]);
  });

  test('a key request of a peer that has just joined is not answered with the present key', async () => {
    const world = new World();
    const ada = await world.join('ada');
    await world.join('grace');
    await world.run(5_000);
    const linus = await world.join('linus');
    await world.reportMissing();
    expect(linus.everReceived.has(ada.sending)).toBe(false);
    await world.run(5_000);
    expect(linus.canRead(ada)).toBe(true);
  });
});

describe('a server in the middle', () => {
  /** The server answers each with keys of its own. It can then read all, but the numbers differ. */
  test('the safety numbers of the two ends differ', async () => {
    const world = new World();
    const evil = await makeOwnKeys(await makeKeyPairs(['P-256']));
    const { helloOf } = await import('./keys');
    const fake = toBinary(
      KeyMessageSchema,
      create(KeyMessageSchema, { body: { case: 'hello', value: helloOf(evil.greeting, false) } }),
    );
    world.server = () => [fake];
    const [ada, grace] = [await world.join('ada'), await world.join('grace')];
    await world.run(3_000);
    expect(ada.shown.length).toBe(1);
    expect(grace.shown.length).toBe(1);
    expect(ada.shown[0]?.safetyNumber).not.toBe(grace.shown[0]?.safetyNumber);
  });

  test('a user with another identity than before is shown as changed; a verified one as verified', async () => {
    const store = new MemoryIdentityStore();
    const graceStore = new MemoryIdentityStore();
    const trustOf = async (identity?: Identity) => {
      const world = new World();
      const ada = await world.join('ada', { store });
      await world.join('grace', { store: identity ? new MemoryIdentityStore() : graceStore, identity });
      await world.run(1_000);
      return { world, ada, trust: ada.shown.map(({ trust }) => trust) };
    };
    const first = await trustOf();
    expect(first.trust).toEqual(['new']);
    await first.world.apply(first.ada, await first.ada.epochs.handle({ on: 'verified', peerId: 'grace' }, 1_000));
    expect(first.ada.shown.map(({ trust }) => trust)).toEqual(['new', 'verified']);
    expect((await trustOf()).trust).toEqual(['verified']);
    const other = await makeKeyPairs(['P-256']);
    expect((await trustOf(other)).trust).toEqual(['changed']);
    expect((await trustOf(other)).trust).toEqual(['known']);
  });
});
