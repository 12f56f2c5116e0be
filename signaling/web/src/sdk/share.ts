// Keeps the objects of the last view where their content is the same, so that a user interface can compare by
// identity and draws only what changed. Pure.

import type { CallView, PeerView, SourceView } from './view';

/** `after` with the parts of `before` that are equal to it; `before` itself if all are. */
export function shared(before: CallView | null, after: CallView): CallView {
  if (!before) return after;
  const byId = new Map(before.peers.map((peer) => [peer.id, peer]));
  const peers = after.peers.map((peer) => sharedPeer(byId.get(peer.id), peer));
  const view: CallView = {
    ...after,
    peers: sharedList(before.peers, peers),
    waitingClients: sharedList(before.waitingClients, after.waitingClients),
    local: sharedMap(before.local, after.local, isEqual),
    sendScores: sharedMap(before.sendScores, after.sendScores),
    quality: sharedMap(before.quality, after.quality),
    fileTransfers: sharedMap(before.fileTransfers, after.fileTransfers),
    speaking: sharedSet(before.speaking, after.speaking),
    chat: sharedList(before.chat, after.chat),
    hands: sharedList(before.hands, after.hands),
    reactions: sharedList(before.reactions, after.reactions),
  };
  return isEqual(before, view) ? before : view;
}

function sharedPeer(before: PeerView | undefined, after: PeerView): PeerView {
  if (!before) return after;
  const byId = new Map(before.sources.map((source) => [source.id, source]));
  const sources = after.sources.map((source) => sharedSource(byId.get(source.id), source));
  const peer = { ...after, sources: sharedList(before.sources, sources) };
  return isEqual(before, peer) ? before : peer;
}

function sharedSource(before: SourceView | undefined, after: SourceView): SourceView {
  return before && isEqual(before, after) ? before : after;
}

/** Field by field, by identity. */
function isEqual<T extends object>(a: T, b: T): boolean {
  const keys = Object.keys(a) as (keyof T)[];
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
}

export function sharedList<T>(before: readonly T[], after: readonly T[]): readonly T[] {
  return before.length === after.length && before.every((value, index) => value === after[index]) ? before : after;
}

export function sharedMap<K, V, M extends ReadonlyMap<K, V>>(
  before: M,
  after: M,
  same: (a: V & object, b: V & object) => boolean = () => false,
): M {
  const isSame = (a: V | undefined, b: V) => a === b || (isObject(a) && isObject(b) && same(a, b));
  const isUnchanged =
    before.size === after.size && [...after].every(([key, value]) => before.has(key) && isSame(before.get(key), value));
  return isUnchanged ? before : after;
}

function isObject<T>(value: T): value is T & object {
  return typeof value === 'object' && value !== null;
}

function sharedSet<T>(before: ReadonlySet<T>, after: ReadonlySet<T>): ReadonlySet<T> {
  return before.size === after.size && [...after].every((value) => before.has(value)) ? before : after;
}
