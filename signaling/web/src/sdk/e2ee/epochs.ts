// Who gets which key, and when. Each client encrypts with a sender key of its own, and makes a new one, a new epoch, after
// each peer that joins or leaves: a peer that left cannot decrypt what follows, one that joined cannot decrypt what came
// before. No I/O and no clock: `handle` takes what happened and returns what to do. Inputs must not overlap: the next
// one follows after the promise of the one before (`encryption.ts` queues them).

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Hello, type KeyMessage, KeyMessageSchema, type KeyRequest, type SenderKey } from '../../gen/e2ee_pb';
import type { IdentityStore } from './identity_store';
import {
  fingerprintOf,
  type Greeting,
  greetingOf,
  helloOf,
  makePair,
  makeSenderKey,
  type OwnKeys,
  type Pair,
  safetyNumber,
  unwrapKey,
  wrapKey,
} from './keys';

/** Peers with which keys are exchanged; a further one gets no key. The server's limit for the receivers of a message. */
export const PEERS_MAX = 256;
/** Receivers of one message: its keys stay far below the limit of 16,384 bytes for a body. */
const RECEIVERS_PER_MESSAGE = 64;
/** From the delivery of a new key to its use: frames arrive faster than messages. */
export const SWITCH_MS = 500;
/** From one new key to the next. Longer than `SWITCH_MS`, so that each key is in use before the next one is made. */
export const ROTATE_MIN_MS = 1_000;
/** Peers that join or leave within this time cause one new key. */
const COLLECT_MS = 50;
/** An older key of a peer is kept this long after the next one, for frames on their way; and at most this number of keys. */
export const OLD_KEY_MS = 10_000;
export const KEYS_PER_PEER = 4;
/** Pauses between repeated messages, and the number of Hellos to a peer that does not answer. */
const REPEAT_MS = 1_000;
const HELLOS_MAX = 6;
/** Requests to a peer that sends no frames, for a key that must have been lost; the first after twice `REPEAT_MS`. */
const REQUESTS_MAX = 5;
/** Sessions of other clients during one call; the Hello of a further one is ignored. */
const SESSIONS_MAX = 4_096;
const EPOCH_MAX = 0xffff_ffff;

export type Input =
  | { on: 'start' }
  | { on: 'joined'; peerId: string; user: string }
  | { on: 'left'; peerId: string }
  | { on: 'message'; from: string; body: Uint8Array }
  /** Frames of a peer arrive for which there is no key. */
  | { on: 'missingKey'; peerId: string }
  /** The current sender key must not be used much longer. */
  | { on: 'usedUp' }
  /** A person has compared the safety number of a peer. */
  | { on: 'verified'; peerId: string }
  /** The time of `nextTimeout` has come. */
  | { on: 'time' };

/**
 * How well the identity of a peer is known: `verified` by a person; seen before; the first of its user; or another one
 * than its user has shown before.
 */
export type Trust = 'verified' | 'known' | 'new' | 'changed';

export type Output =
  | { do: 'send'; to: readonly string[]; body: Uint8Array }
  | { do: 'setSendKey'; epoch: number; key: Uint8Array }
  | { do: 'setReceiveKey'; peerId: string; epoch: number; key: Uint8Array }
  | { do: 'dropReceiveKey'; peerId: string; epoch: number }
  | { do: 'dropPeer'; peerId: string }
  | { do: 'showIdentity'; peerId: string; user: string; safetyNumber: string; trust: Trust };

interface PeerState {
  readonly user: string;
  greeting: Greeting | null;
  pair: Pair | null;
  fingerprint: string;
  /** The first epoch of this client that the peer may have; 0: none. */
  entitledFrom: number;
  /** Its keys that are in use here, the newest last. */
  received: { epoch: number; dropAt: number }[];
  hellos: number;
  helloAt: number;
  /** Requests without frames so far. */
  requests: number;
  silentRequestAt: number;
  requestAt: number;
  answerAt: number;
  replyAt: number;
}

interface OwnEpoch {
  readonly number: number;
  readonly key: Uint8Array;
}

export class Epochs {
  readonly #own: OwnKeys;
  readonly #ownId: string;
  readonly #room: string;
  readonly #store: IdentityStore;
  readonly #peers = new Map<string, PeerState>();
  /** By session of another client, the newest epoch of which a key arrived; also of those that left. */
  readonly #newestEpochs = new Map<string, number>();
  #current: OwnEpoch = { number: 0, key: new Uint8Array(0) };
  #next: (OwnEpoch & { readonly useAt: number }) | null = null;
  #rotateAt: number | null = null;
  #rotatedAt = Number.NEGATIVE_INFINITY;
  #fingerprint = '';

  constructor(own: OwnKeys, ownId: string, room: string, store: IdentityStore) {
    this.#own = own;
    this.#ownId = ownId;
    this.#room = room;
    this.#store = store;
  }

  /** When `{ on: 'time' }` is due, in the clock of `handle`; null: not before another input. */
  get nextTimeout(): number | null {
    const times = [this.#rotateAt, this.#next?.useAt ?? null];
    for (const peer of this.#peers.values()) {
      times.push(...peer.received.slice(0, -1).map(({ dropAt }) => dropAt));
      if (!peer.pair && peer.hellos < HELLOS_MAX) times.push(peer.helloAt);
      if (lacksKey(peer)) times.push(peer.silentRequestAt);
    }
    const due = times.filter((time) => time !== null);
    return due.length > 0 ? Math.min(...due) : null;
  }

  async handle(input: Input, now: number): Promise<Output[]> {
    switch (input.on) {
      case 'start':
        this.#fingerprint = await fingerprintOf(this.#own.greeting);
        return this.#use({ number: 1, key: makeSenderKey() });
      case 'joined':
        return this.#onJoined(input.peerId, input.user, now);
      case 'left':
        return this.#onLeft(input.peerId, now);
      case 'message':
        return this.#onMessage(input.from, input.body, now);
      case 'missingKey':
        return this.#onMissingKey(input.peerId, now);
      case 'usedUp':
        this.#rotateSoon(now);
        return [];
      case 'verified':
        return this.#onVerified(input.peerId);
      case 'time':
        return this.#onTime(now);
    }
  }

  #onJoined(peerId: string, user: string, now: number): Output[] {
    if (peerId === this.#ownId || this.#peers.has(peerId) || this.#peers.size >= PEERS_MAX) return [];
    const peer: PeerState = {
      user,
      greeting: null,
      pair: null,
      fingerprint: '',
      entitledFrom: 0,
      received: [],
      hellos: 0,
      helloAt: now,
      requests: 0,
      silentRequestAt: Number.POSITIVE_INFINITY,
      requestAt: Number.NEGATIVE_INFINITY,
      answerAt: Number.NEGATIVE_INFINITY,
      replyAt: Number.NEGATIVE_INFINITY,
    };
    this.#peers.set(peerId, peer);
    return this.#hello(peerId, peer, false, now);
  }

  #onLeft(peerId: string, now: number): Output[] {
    const peer = this.#peers.get(peerId);
    if (!peer) return [];
    this.#peers.delete(peerId);
    if (peer.entitledFrom > 0) this.#rotateSoon(now);
    return [{ do: 'dropPeer', peerId }];
  }

  /** A message that is not understood, or not from a peer of the room, has no effect. */
  async #onMessage(from: string, body: Uint8Array, now: number): Promise<Output[]> {
    const peer = this.#peers.get(from);
    const message = peer && decode(body);
    if (!message) return [];
    switch (message.body.case) {
      case 'hello':
        return this.#onHello(from, peer, message.body.value, now);
      case 'senderKey':
        return this.#onSenderKey(from, peer, message.body.value, now);
      case 'keyRequest':
        return this.#onKeyRequest(from, peer, message.body.value, now);
      default:
        return [];
    }
  }

  async #onHello(peerId: string, peer: PeerState, hello: Hello, now: number): Promise<Output[]> {
    const greeting = greetingOf(hello);
    if (!greeting) return [];
    const isAnother = !peer.greeting || !sameGreeting(peer.greeting, greeting);
    // Another session: the page was loaded again. It has neither the Hello of this client nor any key.
    const isReloaded = isAnother && peer.pair !== null;
    const reply = hello.wantsReply || isReloaded ? this.#reply(peerId, peer, now) : [];
    if (!isAnother || !this.#remembers(greeting)) return reply;
    const ends = { room: this.#room, ownId: this.#ownId, otherId: peerId };
    const pair = await makePair(this.#own, greeting, ends);
    if (!pair) return reply;
    const dropped: Output[] = isReloaded ? [{ do: 'dropPeer', peerId }] : [];
    Object.assign(peer, { greeting, pair, received: [], entitledFrom: 0, requests: 0 });
    peer.silentRequestAt = now + 2 * REPEAT_MS;
    peer.fingerprint = await fingerprintOf(greeting);
    this.#rotateSoon(now);
    return [...dropped, ...reply, await this.#identify(peerId, peer)];
  }

  /** False for a session beyond the limit, which stays unknown. */
  #remembers({ session }: Greeting): boolean {
    const name = nameOf(session);
    if (!this.#newestEpochs.has(name) && this.#newestEpochs.size >= SESSIONS_MAX) return false;
    this.#newestEpochs.set(name, this.#newestEpochs.get(name) ?? 0);
    return true;
  }

  async #identify(peerId: string, peer: PeerState): Promise<Output> {
    const known = await this.#store.known(peer.user);
    const found = known.find(({ fingerprint }) => fingerprint === peer.fingerprint);
    const trust = found?.verified ? 'verified' : found ? 'known' : known.length > 0 ? 'changed' : 'new';
    if (!found) await this.#store.remember(peer.user, [...known, { fingerprint: peer.fingerprint, verified: false }]);
    return this.#shown(peerId, peer, trust);
  }

  async #shown(peerId: string, { user, fingerprint }: PeerState, trust: Trust): Promise<Output> {
    return { do: 'showIdentity', peerId, user, safetyNumber: await safetyNumber(this.#fingerprint, fingerprint), trust };
  }

  async #onVerified(peerId: string): Promise<Output[]> {
    const peer = this.#peers.get(peerId);
    if (!peer?.pair) return [];
    const others = (await this.#store.known(peer.user)).filter(({ fingerprint }) => fingerprint !== peer.fingerprint);
    await this.#store.remember(peer.user, [...others, { fingerprint: peer.fingerprint, verified: true }]);
    return [await this.#shown(peerId, peer, 'verified')];
  }

  /** The newest epoch of a session only grows, so a server cannot bring an old key back. */
  async #onSenderKey(peerId: string, peer: PeerState, message: SenderKey, now: number): Promise<Output[]> {
    const { epoch, session, keys } = message;
    if (!peer.pair || !peer.greeting || !sameBytes(session, peer.greeting.session)) return this.#askHello(peerId, peer, now);
    const own = keys.find((key) => key.peerId === this.#ownId && sameBytes(key.session, this.#own.greeting.session));
    if (!own) return [];
    const newest = this.#newestEpochs.get(nameOf(session)) ?? 0;
    if (epoch < newest || peer.received.some((received) => received.epoch === epoch)) return [];
    const key = await unwrapKey(peer.pair, epoch, own);
    if (!key) return this.#askHello(peerId, peer, now);
    this.#newestEpochs.set(nameOf(session), epoch);
    for (const older of peer.received) older.dropAt = Math.min(older.dropAt, now + OLD_KEY_MS);
    peer.received.push({ epoch, dropAt: Number.POSITIVE_INFINITY });
    const surplus = peer.received.splice(0, Math.max(0, peer.received.length - KEYS_PER_PEER));
    return [
      { do: 'setReceiveKey', peerId, epoch, key },
      ...surplus.map(({ epoch }): Output => ({ do: 'dropReceiveKey', peerId, epoch })),
    ];
  }

  async #onKeyRequest(peerId: string, peer: PeerState, { session }: KeyRequest, now: number): Promise<Output[]> {
    if (!peer.pair || !peer.greeting || !sameBytes(session, peer.greeting.session)) return this.#askHello(peerId, peer, now);
    if (now < peer.answerAt) return [];
    peer.answerAt = now + REPEAT_MS;
    const epochs = [this.#current, this.#next].filter((epoch) => epoch !== null);
    const due = epochs.filter(({ number }) => peer.entitledFrom > 0 && number >= peer.entitledFrom);
    return (await Promise.all(due.map((epoch) => this.#deliver(epoch, [peerId])))).flat();
  }

  #onMissingKey(peerId: string, now: number): Output[] {
    const peer = this.#peers.get(peerId);
    if (!peer) return [];
    if (!peer.pair) return this.#askHello(peerId, peer, now);
    if (now < peer.requestAt) return [];
    peer.requestAt = now + REPEAT_MS;
    return [this.#request(peerId)];
  }

  #request(peerId: string): Output {
    return this.#message([peerId], { case: 'keyRequest', value: { session: this.#own.greeting.session } });
  }

  async #onTime(now: number): Promise<Output[]> {
    const outputs: Output[] = [];
    if (this.#next && now >= this.#next.useAt) {
      outputs.push(...this.#use(this.#next));
      this.#next = null;
    }
    if (this.#rotateAt !== null && now >= this.#rotateAt) outputs.push(...(await this.#rotate(now)));
    for (const [peerId, peer] of this.#peers) {
      const kept = peer.received.filter(({ dropAt }) => dropAt > now);
      const dropped = peer.received.filter(({ dropAt }) => dropAt <= now);
      peer.received = kept;
      outputs.push(...dropped.map(({ epoch }): Output => ({ do: 'dropReceiveKey', peerId, epoch })));
      if (!peer.pair && peer.hellos < HELLOS_MAX && now >= peer.helloAt) outputs.push(...this.#hello(peerId, peer, true, now));
      if (lacksKey(peer) && now >= peer.silentRequestAt) {
        peer.requests += 1;
        peer.silentRequestAt = now + REPEAT_MS * 2 ** (peer.requests + 1);
        outputs.push(this.#request(peerId));
      }
    }
    return outputs;
  }

  #rotateSoon(now: number): void {
    this.#rotateAt ??= Math.max(now + COLLECT_MS, this.#rotatedAt + ROTATE_MIN_MS);
  }

  /** A new key for all peers. It is in use once they have had time to get it, or at once if no peer has the present one. */
  async #rotate(now: number): Promise<Output[]> {
    this.#rotateAt = null;
    this.#rotatedAt = now;
    const number = (this.#next ?? this.#current).number + 1;
    if (number > EPOCH_MAX) return [];
    const epoch = { number, key: makeSenderKey() };
    const receivers = [...this.#peers].filter(([, { pair }]) => pair);
    const isPresentInUse = receivers.some(([, { entitledFrom }]) => entitledFrom > 0);
    for (const [, peer] of receivers) if (peer.entitledFrom === 0) peer.entitledFrom = number;
    const delivered = await this.#deliver(
      epoch,
      receivers.map(([peerId]) => peerId),
    );
    if (!isPresentInUse) return [...delivered, ...this.#use(epoch)];
    this.#next = { ...epoch, useAt: now + SWITCH_MS };
    return delivered;
  }

  #use({ number, key }: OwnEpoch): Output[] {
    this.#current = { number, key };
    return [{ do: 'setSendKey', epoch: number, key }];
  }

  async #deliver({ number, key }: OwnEpoch, peerIds: readonly string[]): Promise<Output[]> {
    const outputs: Output[] = [];
    for (let at = 0; at < peerIds.length; at += RECEIVERS_PER_MESSAGE) {
      const to = peerIds.slice(at, at + RECEIVERS_PER_MESSAGE);
      const keys = await Promise.all(
        to.map(async (peerId) => {
          const peer = this.#peers.get(peerId);
          if (!peer?.pair || !peer.greeting) return null;
          return { peerId, session: peer.greeting.session, ...(await wrapKey(peer.pair, number, key)) };
        }),
      );
      const { session } = this.#own.greeting;
      const value = { session, epoch: number, keys: keys.filter((key) => key !== null) };
      outputs.push(this.#message(to, { case: 'senderKey', value }));
    }
    return outputs;
  }

  /** The peer uses keys that this client cannot place: one of the two has an old Hello. */
  #askHello(peerId: string, peer: PeerState, now: number): Output[] {
    if (now < peer.helloAt) return [];
    peer.hellos = 0;
    return this.#hello(peerId, peer, true, now);
  }

  #reply(peerId: string, peer: PeerState, now: number): Output[] {
    if (now < peer.replyAt) return [];
    peer.replyAt = now + REPEAT_MS;
    return [this.#message([peerId], { case: 'hello', value: helloOf(this.#own.greeting, false) })];
  }

  #hello(peerId: string, peer: PeerState, wantsReply: boolean, now: number): Output[] {
    peer.hellos += 1;
    peer.helloAt = now + REPEAT_MS * 2 ** (peer.hellos - 1);
    return [this.#message([peerId], { case: 'hello', value: helloOf(this.#own.greeting, wantsReply) })];
  }

  #message(to: readonly string[], body: MessageBody): Output {
    return { do: 'send', to, body: toBinary(KeyMessageSchema, create(KeyMessageSchema, { body })) };
  }
}

type MessageBody = NonNullable<Parameters<typeof create<typeof KeyMessageSchema>>[1]>['body'];

function decode(body: Uint8Array): KeyMessage | null {
  try {
    return fromBinary(KeyMessageSchema, body);
  } catch {
    return null;
  }
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** The public keys are exchanged, and no key has arrived. */
function lacksKey({ pair, received, requests }: PeerState): boolean {
  return pair !== null && received.length === 0 && requests < REQUESTS_MAX;
}

function nameOf(session: Uint8Array): string {
  return String.fromCharCode(...session);
}

function sameGreeting(one: Greeting, other: Greeting): boolean {
  return (
    sameBytes(one.session, other.session) &&
    one.keys.length === other.keys.length &&
    one.keys.every(({ identity, ephemeral }, index) => {
      const found = other.keys[index];
      return found !== undefined && sameBytes(identity, found.identity) && sameBytes(ephemeral, found.ephemeral);
    })
  );
}
