// The state of a call that a user interface needs, as one immutable value. Pure.

import type { Access, Permissions, RoomPolicy, WaitingClient } from './access';
import type { ChatMessage, ConversationView, Reaction } from './conversation/conversation';
import type { PeerEncryption } from './e2ee/encryption';
import type { FileTransfer } from './files/types';
import type { CallNotice } from './notice';
import type { QualityLevel } from './quality/measure';
import type { SourceQuality } from './quality/sampler';
import type { RecoveryView } from './recovery';
import type { RemotePeer, RemoteSource, Roster } from './roster';
import type { SessionState } from './session';
import type { Incoming, LocalSource, Outgoing, Sent, VideoReception } from './sources';

/** A video may have no picture for this long, between two layers, before it counts as starved. */
export const STARVED_AFTER_MS = 1_500;

/** Something another peer sends, with its track once it is received. */
export interface SourceView extends RemoteSource {
  track: MediaStreamTrack | null;
  /** No track will arrive: this browser cannot play it, may not receive it, or receives no video. */
  unplayable: boolean;
  /** The server sends none of it, because bandwidth is short. */
  starved: boolean;
  /** How well its media arrives here: from 0 (nothing) to 10 (no loss). Null before the first report. */
  score: number | null;
  /** How well it is received, by the statistics of this browser. Null before the first measurement. */
  quality: QualityLevel | null;
}

/** Another participant, with what it sends. */
export interface PeerView extends Omit<RemotePeer, 'sources' | 'channels'> {
  sources: readonly SourceView[];
  /** Null while the call is not encrypted end to end. */
  encryption: PeerEncryption | null;
}

/** The state of a call that a user interface needs, as one immutable value. */
export interface CallView extends ConversationView {
  session: SessionState;
  /** What is done to get the media path back; null while it is not lost. */
  recovery: RecoveryView | null;
  /** The signaling connection is established. Media does not need it. */
  online: boolean;
  /** An administrator has to admit this client to the room. */
  waiting: boolean;
  room: string;
  /** What the token permits. */
  permissions: Permissions;
  policy: RoomPolicy;
  /** For administrators: the clients that wait to be admitted. */
  waitingClients: readonly WaitingClient[];
  peerId: string;
  displayName: string;
  peers: readonly PeerView[];
  local: ReadonlyMap<string, LocalSource>;
  /** By local source, how well its media arrives at the server: from 0 to 10. A source without a report has none. */
  sendScores: ReadonlyMap<string, number>;
  /** What this client receives of the video of others. */
  videoReception: VideoReception;
  /** Peer ids, this client's own among them. */
  speaking: ReadonlySet<string>;
  /** Media is encrypted end to end. */
  encrypted: boolean;
  /**
   * By producer id what this client receives, and by name what it sends: the level, and the measurements of the last two
   * minutes.
   */
  quality: ReadonlyMap<string, SourceQuality>;
  /** By id. */
  fileTransfers: ReadonlyMap<string, FileTransfer>;
  /** Why the session ended; null if the user ended it. */
  failure: Error | null;
}

/** What a call reports to the application. */
export interface CallEvents {
  /** The call has changed. */
  onView(view: CallView): void;
  /** Something that the user should read once: `message` is the English text of `notice`. */
  onNotice(message: string, notice: CallNotice): void;
  /**
   * The device of a source has stopped: it was unplugged, for example. If the result is a track, the source continues
   * with it; otherwise the source ends.
   */
  onSourceStopped?(source: string): Promise<MediaStreamTrack | null>;
  /** A message on a channel that another peer has opened with `Call.openChannel`. */
  onData?(from: string, label: string, data: string | ArrayBuffer): void;
  /** Another peer sent a message of the chat. */
  onChatMessage?(message: ChatMessage): void;
  /** A peer, or this client, sent a reaction. */
  onReaction?(reaction: Reaction): void;
}

/** The part of `Media` that is shown. */
export interface Received {
  readonly incoming: ReadonlyMap<string, ReceivedTrack>;
  readonly outgoing: ReadonlyMap<string, SentTrack>;
  readonly hints: {
    readonly sent: ReadonlyMap<string, Sent>;
    readonly consumerScores: ReadonlyMap<string, number>;
    readonly producerScores: ReadonlyMap<string, ReadonlyMap<number, number>>;
  };
}

export interface SentTrack extends Pick<Outgoing, 'sending'> {
  readonly producer: { readonly id: string };
  readonly encodings: readonly unknown[];
}

export interface ReceivedTrack extends Pick<Incoming, 'serverPaused'> {
  readonly consumer: { readonly id: string; readonly track: MediaStreamTrack };
}

/** The inputs of a view. */
export interface Shown extends Omit<CallView, 'peers' | 'sendScores' | 'permissions' | 'policy' | 'waitingClients'> {
  access: Access;
  roster: Roster;
  unplayable: ReadonlySet<string>;
  media: Received | null;
  encryptionOf(peerId: string): PeerEncryption | null;
}

/** `now` is in milliseconds since the epoch. */
export function viewOf(shown: Shown, now: number): CallView {
  const { access, roster, unplayable, media, local, quality, encryptionOf, ...rest } = shown;
  const sourceView = (source: RemoteSource): SourceView => ({
    ...source,
    track: media?.incoming.get(source.id)?.consumer.track ?? null,
    unplayable: unplayable.has(source.id) || (source.kind === 'video' && rest.videoReception === 'off'),
    starved: !source.paused && isStarved(media, source.id, now),
    score: receivedScore(media, source.id),
    quality: quality.get(source.id)?.level ?? null,
  });
  const peers = [...roster.values()].map(({ channels: _, sources, ...peer }) => ({
    ...peer,
    sources: [...sources.values()].map(sourceView),
    encryption: encryptionOf(peer.id),
  }));
  const { permissions, policy, waiting } = access;
  const waitingClients = [...waiting.values()];
  return { ...rest, quality, permissions, policy, waitingClients, peers, local: new Map(local), sendScores: sendScores(media) };
}

function isStarved(media: Received | null, producerId: string, now: number): boolean {
  const incoming = media?.incoming.get(producerId);
  const sent = incoming && media?.hints.sent.get(incoming.consumer.id);
  return sent?.layers === null && !incoming?.serverPaused && now - sent.at >= STARVED_AFTER_MS;
}

function receivedScore(media: Received | null, producerId: string): number | null {
  const incoming = media?.incoming.get(producerId);
  return (incoming && media?.hints.consumerScores.get(incoming.consumer.id)) ?? null;
}

/** The best encoding counts. An encoding that is switched off, because it has no receivers, has the score 0 and does not count. */
function sendScores(media: Received | null): Map<string, number> {
  const scores = new Map<string, number>();
  for (const [source, { producer, encodings, sending }] of media?.outgoing ?? []) {
    const isSent = (encoding: number) => sending === null || (encodings.length > 1 ? sending.has(encoding) : sending.size > 0);
    const reported = [...(media?.hints.producerScores.get(producer.id) ?? [])];
    const sent = reported.filter(([encoding]) => isSent(encoding)).map(([, score]) => score);
    if (sent.length > 0) scores.set(source, Math.max(...sent));
  }
  return scores;
}
