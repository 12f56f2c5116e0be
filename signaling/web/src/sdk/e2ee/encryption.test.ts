// The page's part with its worker replaced: the same `FrameCrypto`, called directly.

import { afterEach, describe, expect, test, vi } from 'vitest';
import { Encryption, KEY_TOPIC } from './encryption';
import type { EncodedFrame } from './frame_crypto';
import { type IdentityStore, MemoryIdentityStore } from './identity_store';
import { DirectWorker, frame } from './testing';

const CAMERA = { source: 'camera', mimeType: 'video/VP9' };
/** Signaling that passes messages on. */
class Room {
  readonly clients = new Map<string, Client>();
  /** Of the tries of a message, those that fail. */
  fails: (from: string) => boolean = () => false;
  topics = new Set<string>();

  enter(id: string, user = id, store: IdentityStore = new MemoryIdentityStore()): Client {
    const client = new Client(this, id, user, store);
    this.clients.set(id, client);
    this.announce();
    return client;
  }

  leave(id: string): void {
    this.clients.get(id)?.encryption.end();
    this.clients.delete(id);
    this.announce();
  }

  announce(): void {
    for (const client of this.clients.values()) {
      const others = [...this.clients.values()].filter((other) => other !== client);
      client.encryption.setPeers(new Map(others.map(({ id, user }) => [id, user])));
    }
  }
}

class Client {
  readonly worker = new DirectWorker();
  readonly changed: string[] = [];
  readonly keys: (string | null)[] = [];
  readonly encryption: Encryption;

  constructor(
    room: Room,
    public id: string,
    readonly user: string,
    store: IdentityStore,
  ) {
    const send = async (to: readonly string[], topic: string, body: Uint8Array) => {
      room.topics.add(topic);
      if (room.fails(this.id)) throw new Error('refused');
      for (const other of to) room.clients.get(other)?.encryption.onMessage(this.id, body);
    };
    this.encryption = new Encryption(
      { store, send, makeWorker: () => this.worker as unknown as Worker },
      {
        onChange: () => undefined,
        onKey: (peerId) => this.keys.push(peerId),
        onIdentityChanged: (user) => this.changed.push(user),
        note: () => undefined,
      },
    );
    this.encryption.enter('lobby', id, user);
  }

  state(other: Client): string {
    return this.encryption.stateOf(other.id).state;
  }

  /** Sends a frame of its camera to another client. True if that can decrypt it. */
  async shows(other: Client): Promise<boolean> {
    let arrived = false;
    const sent: EncodedFrame[] = [];
    await this.worker.crypto.sealing(CAMERA)(frame(), (passed) => sent.push(passed));
    for (const passed of sent) {
      await other.worker.crypto.opening(this.id, CAMERA)(passed, () => {
        arrived = true;
      });
    }
    return arrived;
  }
}

const WAIT = { timeout: 20_000, interval: 10 };
const rooms: Room[] = [];
const makeRoom = () => {
  const room = new Room();
  rooms.push(room);
  return room;
};

afterEach(() => {
  for (const room of rooms.splice(0)) for (const id of [...room.clients.keys()]) room.leave(id);
});

describe('encryption of a call', () => {
  test('two clients exchange keys, show the same safety number, and frames pass', async () => {
    const room = makeRoom();
    const [ada, grace] = [room.enter('ada'), room.enter('grace')];
    expect(ada.encryption.stateOf('grace')).toMatchObject({ state: 'waitingForKey', safetyNumber: null, trust: null });
    await vi.waitFor(() => expect([ada.state(grace), grace.state(ada)]).toEqual(['encrypted', 'encrypted']), WAIT);
    await vi.waitFor(async () => expect(await ada.shows(grace)).toBe(true), WAIT);
    const number = ada.encryption.stateOf('grace').safetyNumber;
    expect(number).toMatch(/^\d{5}( \d{5}){11}$/);
    expect(grace.encryption.stateOf('ada').safetyNumber).toBe(number);
    expect([...room.topics]).toEqual([KEY_TOPIC]);
  });

  test('a peer that leaves cannot decrypt what follows', async () => {
    const room = makeRoom();
    const [ada, grace, linus] = [room.enter('ada'), room.enter('grace'), room.enter('linus')];
    await vi.waitFor(async () => expect([await ada.shows(grace), await ada.shows(linus)]).toEqual([true, true]), WAIT);
    room.leave('linus');
    await vi.waitFor(async () => expect([await ada.shows(grace), await ada.shows(linus)]).toEqual([true, false]), WAIT);
    expect(linus.worker.terminated).toBe(true);
    // The others have forgotten it.
    await vi.waitFor(async () => expect(await linus.shows(ada)).toBe(false), WAIT);
  });

  test('after refused messages the keys arrive later', async () => {
    const room = makeRoom();
    let refused = 0;
    room.fails = (from) => {
      refused += 1;
      return from === 'ada' && refused < 6;
    };
    const [ada, grace] = [room.enter('ada'), room.enter('grace')];
    await vi.waitFor(async () => expect([await ada.shows(grace), await grace.shows(ada)]).toEqual([true, true]), WAIT);
    expect(refused).toBeGreaterThanOrEqual(6);
  });

  test('frames with another key give the state wrongKey, and frames of the right key end it', async () => {
    const room = makeRoom();
    const [ada, grace] = [room.enter('ada'), room.enter('grace')];
    await vi.waitFor(async () => expect(await ada.shows(grace)).toBe(true), WAIT);
    const evil = new DirectWorker();
    evil.crypto.handle({ do: 'setSendKey', epoch: ada.worker.epoch, key: new Uint8Array(32) });
    const forged = evil.crypto.sealing(CAMERA);
    await vi.waitFor(async () => {
      await forged(frame(), (sent) => void grace.worker.crypto.opening('ada', CAMERA)(sent, () => undefined));
      expect(grace.state(ada)).toBe('wrongKey');
    }, WAIT);
    expect(grace.encryption.countsOf('ada')?.wrongKey).toBeGreaterThan(0);
    await vi.waitFor(async () => {
      await ada.shows(grace);
      expect(grace.state(ada)).toBe('encrypted');
    }, WAIT);
  });

  test('another identity of a known user is reported, and confirming one is remembered', async () => {
    const store = new MemoryIdentityStore();
    for (const [round, trust] of ['new', 'changed'].entries()) {
      const room = makeRoom();
      const ada = room.enter('ada', 'ada', store);
      room.enter(`grace-${round}`, 'grace');
      await vi.waitFor(() => expect(ada.encryption.stateOf(`grace-${round}`).trust).toBe(trust), WAIT);
      expect(ada.changed).toEqual(trust === 'changed' ? ['grace'] : []);
      ada.encryption.confirm(`grace-${round}`);
      await vi.waitFor(() => expect(ada.encryption.stateOf(`grace-${round}`).trust).toBe('verified'), WAIT);
    }
  });

  test('in another place of the room a client starts again with new keys', async () => {
    const room = makeRoom();
    const [ada, grace] = [room.enter('ada'), room.enter('grace')];
    await vi.waitFor(async () => expect(await ada.shows(grace)).toBe(true), WAIT);
    room.clients.delete('ada');
    ada.id = 'ada-2';
    ada.encryption.enter('lobby', 'ada-2', 'ada');
    room.clients.set('ada-2', ada);
    room.announce();
    await vi.waitFor(async () => expect([await ada.shows(grace), await grace.shows(ada)]).toEqual([true, true]), WAIT);
    expect(grace.encryption.stateOf('ada-2').trust).toBe('known');
  });
});
