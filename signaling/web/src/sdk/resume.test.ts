// A client whose socket drops at any notification ends with the state of a client that never dropped. The model
// server keeps few notifications, so that some resumes get a snapshot, and restarts sometimes.

import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type Joined, JoinedSchema, type Peer, type Signal, SignalSchema } from '../gen/signal_pb';
import type { PayloadInit } from './channel';
import { apply } from './notifications';
import { Position } from './position';
import { emptyRoster, type Roster, rosterAfter } from './roster';

const SEEDS = 1_000;
const STEPS = 40;
const KEPT = 6;

/** Numbers from 0 to `below`, the same for the same seed (mulberry32). */
function dice(seed: number) {
  let state = seed;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

class ModelServer {
  readonly #roll: (below: number) => number;
  readonly #peers = new Map<string, { away: boolean; producers: Map<string, boolean> }>();
  #log = 1n;
  #last = 0n;
  #kept: Signal[] = [];
  #ids = 0;

  constructor(roll: (below: number) => number) {
    this.#roll = roll;
  }

  /** Changes the room at random, and returns the notification. */
  step(): Signal {
    const payload = this.#change();
    this.#last += 1n;
    const signal = create(SignalSchema, { version: '1', payload, notification: this.#last });
    this.#kept = [...this.#kept, signal].slice(-KEPT);
    return signal;
  }

  #change(): PayloadInit {
    const ids = [...this.#peers.keys()];
    const peerId = ids[this.#roll(Math.max(ids.length, 1))] ?? '';
    const peer = this.#peers.get(peerId);
    const choice = this.#roll(7);
    if (!peer || choice === 0) return this.#join();
    const producerId = [...peer.producers.keys()][0] ?? '';
    if (choice === 1) {
      this.#peers.delete(peerId);
      return { case: 'peerLeft', value: { peerId } };
    }
    if (choice === 2) {
      peer.away = !peer.away;
      return { case: 'peerAway', value: { peerId, away: peer.away } };
    }
    if (choice === 3 && producerId) {
      peer.producers.delete(producerId);
      return { case: 'producerClosed', value: { peerId, producerId } };
    }
    if (choice === 4 && producerId) {
      const paused = !peer.producers.get(producerId);
      peer.producers.set(producerId, paused);
      return { case: paused ? 'producerPaused' : 'producerResumed', value: { peerId, producerId } };
    }
    const id = `producer-${++this.#ids}`;
    peer.producers.set(id, false);
    return { case: 'newProducer', value: { peerId, producer: { id, kind: 'video', source: 'camera' } } };
  }

  #join(): PayloadInit {
    const id = `peer-${++this.#ids}`;
    this.#peers.set(id, { away: false, producers: new Map() });
    return { case: 'peerJoined', value: { peer: this.#peer(id) } };
  }

  #peer(id: string): Peer {
    const { away = false, producers = new Map<string, boolean>() } = this.#peers.get(id) ?? {};
    const listed = [...producers].map(([producer, paused]) => ({ id: producer, kind: 'video', source: 'camera', paused }));
    return create(JoinedSchema, { peers: [{ id, user: id, displayName: id, producers: listed, away }] }).peers[0] as Peer;
  }

  /** The process restarts: the peers are recovered from the engine, the numbers are not. */
  restart(): void {
    this.#log += 1n;
    this.#last = 0n;
    this.#kept = [];
  }

  /** The answer to JoinRoom, and the notifications that follow it. */
  join(resume: Position['resume']): { joined: Joined; missed: Signal[] } {
    const missed = resume?.log === this.#log ? Number(this.#last - resume.number) : Number.POSITIVE_INFINITY;
    if (missed <= this.#kept.length) {
      const joined = create(JoinedSchema, { resumed: true, replayed: true, position: resume });
      return { joined, missed: missed === 0 ? [] : this.#kept.slice(-missed) };
    }
    const peers = [...this.#peers.keys()].map((id) => this.#peer(id));
    const position = { log: this.#log, number: this.#last };
    return { joined: create(JoinedSchema, { resumed: resume !== undefined, peers, position }), missed: [] };
  }
}

class ModelClient {
  roster: Roster = emptyRoster;
  online = false;
  replays = 0;
  snapshots = 0;
  readonly #position = new Position();

  enter(server: ModelServer): void {
    const { joined, missed } = server.join(this.#position.resume);
    if (joined.replayed) this.replays += 1;
    else this.snapshots += 1;
    this.#position.onJoined(joined);
    this.roster = rosterAfter(this.roster, joined, new Set());
    this.online = true;
    for (const signal of missed) this.onSignal(signal);
  }

  onSignal({ notification, payload }: Signal): void {
    if (!this.online) return;
    expect(this.#position.take(notification)).toBe('apply');
    this.roster = apply(this.roster, payload).roster;
  }
}

/** Without the order, in which only a snapshot differs. */
function sorted(roster: Roster): unknown {
  const peers = [...roster.values()].map((peer) => ({
    ...peer,
    sources: [...peer.sources.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
  }));
  return peers.sort((a, b) => (a.id < b.id ? -1 : 1));
}

test('a client that drops at any notification has the state of one that never dropped', () => {
  let replays = 0;
  let snapshots = 0;
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const roll = dice(seed);
    const server = new ModelServer(roll);
    const [steady, restless] = [new ModelClient(), new ModelClient()];
    for (const client of [steady, restless]) client.enter(server);
    for (let step = 0; step < STEPS; step += 1) {
      if (roll(60) === 0) {
        server.restart();
        steady.enter(server);
        restless.online = false;
      }
      // It drops before it gets this notification, and is away for some more.
      if (roll(3) === 0) restless.online = false;
      const signal = server.step();
      for (const client of [steady, restless]) client.onSignal(signal);
      if (!restless.online && roll(4) === 0) restless.enter(server);
    }
    if (!restless.online) restless.enter(server);
    expect(sorted(restless.roster), `seed ${seed}`).toEqual(sorted(steady.roster));
    replays += restless.replays;
    snapshots += restless.snapshots - 1;
  }
  expect(replays).toBeGreaterThan(SEEDS);
  expect(snapshots).toBeGreaterThan(SEEDS / 4);
});
