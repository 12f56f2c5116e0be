// Who is in the room and what they send, as the server reports it: plain values and pure functions. A
// notification may arrive twice, or after a resume that contains it already, so each function is idempotent.

import {
  type DataProducerInfo,
  type Joined,
  type Peer,
  type PeerChanged,
  PresenceState,
  type ProducerInfo,
} from '../gen/signal_pb';

export type MediaKind = 'audio' | 'video';

/** How active a user is: in use, connected without activity, or not connected. */
export type Presence = 'active' | 'idle' | 'away';

/** Something another peer sends. */
export interface RemoteSource {
  id: string;
  kind: MediaKind;
  /** The name that its sender gave it: "microphone", "camera", "screen". */
  source: string;
  paused: boolean;
}

/** A data channel on which another peer sends. */
export interface RemoteChannel {
  id: string;
  label: string;
  protocol: string;
}

/** Another participant. */
export interface RemotePeer {
  id: string;
  user: string;
  name: string;
  /** Its socket is lost; its media may still flow. */
  away: boolean;
  /** Of its user, whose most active peer counts. */
  presence: Presence;
  /** Set by the peer (`Call.setMetadata`); the application defines its meaning. */
  metadata: string;
  /** It is an administrator of the room. */
  admin: boolean;
  sources: ReadonlyMap<string, RemoteSource>;
  /** By data producer id. */
  channels: ReadonlyMap<string, RemoteChannel>;
}

/** By peer id, in the order in which this client learned of them. */
export type Roster = ReadonlyMap<string, RemotePeer>;

export const emptyRoster: Roster = new Map();

function sourceOf(info: ProducerInfo): RemoteSource | null {
  if (info.kind !== 'audio' && info.kind !== 'video') return null;
  return { id: info.id, kind: info.kind, source: info.source, paused: info.paused };
}

function channelOf({ id, label, protocol }: DataProducerInfo): RemoteChannel {
  return { id, label, protocol };
}

/** Null for a state of a later version. A server without presence reports none: its peers are active. */
export function presenceOf(state: PresenceState): Presence | null {
  switch (state) {
    case PresenceState.ACTIVE:
    case PresenceState.UNSPECIFIED:
      return 'active';
    case PresenceState.IDLE:
      return 'idle';
    case PresenceState.AWAY:
      return 'away';
    default:
      return null;
  }
}

export function peerOf(peer: Peer): RemotePeer {
  const sources = peer.producers.map(sourceOf).filter((source) => source !== null);
  return {
    id: peer.id,
    user: peer.user,
    name: peer.displayName || peer.user || 'Guest',
    metadata: peer.metadata,
    admin: peer.admin,
    away: peer.away,
    presence: presenceOf(peer.presence) ?? 'active',
    sources: new Map(sources.map((source) => [source.id, source])),
    channels: new Map(peer.dataProducers.map((info) => [info.id, channelOf(info)])),
  };
}

/** Whether another peer sends video. */
export function hasVideo(roster: Roster): boolean {
  for (const { sources } of roster.values())
    for (const { kind, paused } of sources.values()) if (kind === 'video' && !paused) return true;
  return false;
}

export function rosterOf(peers: readonly Peer[]): Roster {
  return new Map(peers.map((peer) => [peer.id, peerOf(peer)]));
}

/**
 * The roster after a resume: the peers, sources and channels that the server lists, and every source and channel in
 * `kept`, whose consumer still receives. A server that has just restarted does not list peers whose sockets are not back
 * yet; removing them would stop media that still flows.
 */
export function resumeRoster(before: Roster, peers: readonly Peer[], kept: ReadonlySet<string>): Roster {
  const listed = rosterOf(peers);
  const after = new Map<string, RemotePeer>();
  for (const [id, peer] of before) {
    const sources = [...peer.sources].filter(([source]) => kept.has(source));
    const channels = [...peer.channels].filter(([channel]) => kept.has(channel));
    const now = listed.get(id);
    if (now) {
      const all = { sources: new Map([...sources, ...now.sources]), channels: new Map([...channels, ...now.channels]) };
      after.set(id, { ...now, ...all });
    } else if (sources.length + channels.length > 0) {
      after.set(id, { ...peer, away: true, sources: new Map(sources), channels: new Map(channels) });
    }
  }
  for (const [id, peer] of listed) if (!after.has(id)) after.set(id, peer);
  return after;
}

/**
 * The roster after Joined. With `replayed`, the notifications that this client missed follow; otherwise the
 * answer is a snapshot. `kept`: the sources and channels whose consumers still receive.
 */
export function rosterAfter(before: Roster, joined: Pick<Joined, 'peers' | 'replayed'>, kept: ReadonlySet<string>): Roster {
  if (joined.replayed) return before;
  return kept.size > 0 ? resumeRoster(before, joined.peers, kept) : rosterOf(joined.peers);
}

function withPeer(roster: Roster, peerId: string, change: (peer: RemotePeer) => RemotePeer): Roster {
  const peer = roster.get(peerId);
  if (!peer) return roster;
  return new Map(roster).set(peerId, change(peer));
}

/**
 * A peer that is in the roster already keeps its sources and channels: a returning peer may be announced before
 * its producers.
 */
export function join(roster: Roster, joined: RemotePeer): Roster {
  const known = roster.get(joined.id);
  const sources = known ? new Map([...known.sources, ...joined.sources]) : joined.sources;
  const channels = known ? new Map([...known.channels, ...joined.channels]) : joined.channels;
  return new Map(roster).set(joined.id, { ...joined, sources, channels });
}

export function leave(roster: Roster, peerId: string): Roster {
  if (!roster.has(peerId)) return roster;
  const after = new Map(roster);
  after.delete(peerId);
  return after;
}

type Described = Pick<PeerChanged, 'peerId' | 'displayName' | 'metadata' | 'admin'>;

export function setAway(roster: Roster, peerId: string, away: boolean): Roster {
  return withPeer(roster, peerId, (peer) => ({ ...peer, away }));
}

export function describe(roster: Roster, { peerId, displayName, metadata, admin }: Described): Roster {
  return withPeer(roster, peerId, (peer) => ({ ...peer, name: displayName || peer.user || 'Guest', metadata, admin }));
}

/** The protocol's value. */
export function presenceState(presence: Presence): PresenceState {
  const states = { active: PresenceState.ACTIVE, idle: PresenceState.IDLE, away: PresenceState.AWAY };
  return states[presence];
}

/** A user may be in the room with several peers. */
export function setPresence(roster: Roster, user: string, presence: Presence): Roster {
  const concerned = [...roster.values()].filter((peer) => peer.user === user && peer.presence !== presence);
  if (concerned.length === 0) return roster;
  const after = new Map(roster);
  for (const peer of concerned) after.set(peer.id, { ...peer, presence });
  return after;
}

export function addSource(roster: Roster, peerId: string, info: ProducerInfo): Roster {
  const source = sourceOf(info);
  if (!source) return roster;
  return withPeer(roster, peerId, (peer) => ({ ...peer, sources: new Map(peer.sources).set(source.id, source) }));
}

/** Removes a source, whichever peer it belongs to. */
export function removeSource(roster: Roster, sourceId: string): Roster {
  const owner = ownerOf(roster, sourceId);
  if (!owner) return roster;
  return withPeer(roster, owner.id, (peer) => {
    const sources = new Map(peer.sources);
    sources.delete(sourceId);
    return { ...peer, sources };
  });
}

export function setPaused(roster: Roster, sourceId: string, paused: boolean): Roster {
  const owner = ownerOf(roster, sourceId);
  const source = owner?.sources.get(sourceId);
  if (!owner || !source) return roster;
  return withPeer(roster, owner.id, (peer) => ({ ...peer, sources: new Map(peer.sources).set(sourceId, { ...source, paused }) }));
}

/** After the loss of the engine: all peers stay, and all their sources and channels are gone. */
export function withoutSources(roster: Roster): Roster {
  return new Map([...roster].map(([id, peer]) => [id, { ...peer, sources: new Map(), channels: new Map() }]));
}

export function ownerOf(roster: Roster, sourceId: string): RemotePeer | undefined {
  for (const peer of roster.values()) if (peer.sources.has(sourceId)) return peer;
  return undefined;
}

export function addChannel(roster: Roster, peerId: string, info: DataProducerInfo): Roster {
  return withPeer(roster, peerId, (peer) => ({ ...peer, channels: new Map(peer.channels).set(info.id, channelOf(info)) }));
}

/** Removes a channel, whichever peer it belongs to. */
export function removeChannel(roster: Roster, channelId: string): Roster {
  const owner = ownerOfChannel(roster, channelId);
  if (!owner) return roster;
  return withPeer(roster, owner.id, (peer) => {
    const channels = new Map(peer.channels);
    channels.delete(channelId);
    return { ...peer, channels };
  });
}

export function ownerOfChannel(roster: Roster, channelId: string): RemotePeer | undefined {
  for (const peer of roster.values()) if (peer.channels.has(channelId)) return peer;
  return undefined;
}
