// The differences between the wanted state (sources this client sends, sources in the roster) and the
// existing objects (producers, consumers), as a list of actions. Pure: `perform.ts` carries the actions out,
// and `work.ts` repeats those that fail. Every change of state leads to a new comparison, so a join, a new
// producer, a restored socket and a restarted engine need no separate code paths.

import type { types } from 'mediasoup-client';
import { type Layers, spatialLayerFor } from './layers';
import { type MediaKind, ownerOf, ownerOfChannel, type Roster } from './roster';
import type { Backup, Direction, Hints, Incoming, LocalSource, Outgoing, Subscribers, VideoReception } from './sources';

/** The sources that the user wants to send and to receive. */
export interface Wanted {
  /** By name. */
  readonly local: ReadonlyMap<string, LocalSource>;
  /** By name, who may receive a source; everyone if it is absent. */
  readonly subscribers: ReadonlyMap<string, Subscribers>;
  readonly roster: Roster;
  /** Producers and data producers that this client does not request again. */
  readonly unplayable: ReadonlySet<string>;
  /** By producer id, the height on screen in device pixels; 0: it is not shown. */
  readonly lines: ReadonlyMap<string, number>;
  /** By producer id, layers that are requested whatever the height on screen is. */
  readonly pinned: ReadonlyMap<string, Layers>;
  readonly videoReception: VideoReception;
  /** Whether channels with this label are received. */
  wantsChannel(label: string): boolean;
}

/** The existing objects: the part of `Media` that is compared. */
export interface Existing {
  readonly outgoing: ReadonlyMap<string, ExistingOutgoing>;
  readonly incoming: ReadonlyMap<string, Pick<Incoming, 'spatialLayers' | 'serverPaused' | 'preferred'>>;
  /** By data producer id. */
  readonly incomingChannels: ReadonlyMap<string, unknown>;
  readonly hints: Pick<Hints, 'wanted' | 'backups'>;
  readonly restartsDue: readonly Direction[];
  canProduce(kind: MediaKind): boolean;
}

export interface ExistingOutgoing extends Pick<Outgoing, 'key' | 'serverPaused' | 'sending' | 'subscribers'> {
  readonly producer: Pick<types.Producer, 'id' | 'track' | 'paused'>;
}

/** `key` names a producer of this client: by its source, or by a backup's key. */
export type Action =
  | { do: 'restartIce'; direction: Direction }
  /** `held`: it stays paused until the server has the list of users that may receive it. */
  | { do: 'produce'; key: string; local: LocalSource; held: boolean; backup?: Backup }
  | { do: 'setSubscribers'; key: string; source: string; subscribers: Subscribers }
  | { do: 'sendWanted'; key: string }
  | { do: 'replaceTrack'; key: string; track: MediaStreamTrack }
  /** In the browser only; takes effect immediately. */
  | { do: 'mute'; key: string; muted: boolean }
  /** On the server. */
  | { do: 'pauseProducer'; key: string; source: string; paused: boolean }
  | { do: 'closeProducer'; key: string }
  | { do: 'consume'; producerId: string; peerId: string; source: string }
  | { do: 'setLayers'; producerId: string; layers: Layers }
  | { do: 'resumeConsumer'; producerId: string }
  | { do: 'pauseConsumer'; producerId: string }
  /** In the browser and on the server. */
  | { do: 'closeConsumer'; producerId: string }
  /** In the browser only. */
  | { do: 'forgetConsumer'; producerId: string }
  | { do: 'consumeData'; dataProducerId: string; peerId: string }
  /** In the browser only. */
  | { do: 'forgetData'; dataProducerId: string };

/** The actions that are due, in this order. */
export function differences(wanted: Wanted, existing: Existing): Action[] {
  return [
    ...existing.restartsDue.map((direction): Action => ({ do: 'restartIce', direction })),
    ...[...wanted.local.values()].flatMap((local) => differencesOfLocal(wanted, existing, local, local.source)),
    ...differencesOfBackups(wanted, existing),
    ...differencesOfRoster(wanted, existing),
    ...differencesOfChannels(wanted, existing),
  ];
}

/**
 * The name of an action in the history and for retries: one action of a name runs at a time. Null: it takes
 * effect at once and cannot fail.
 */
export function nameOf(action: Action): string | null {
  switch (action.do) {
    case 'restartIce':
      return `restart ICE of ${action.direction}`;
    case 'produce':
      return `send ${action.key}`;
    case 'setSubscribers':
      return `subscribers of ${action.key}`;
    case 'sendWanted':
      return `layers of ${action.key}`;
    case 'replaceTrack':
      return `replace ${action.key}`;
    case 'pauseProducer':
      return `${action.paused ? 'pause' : 'resume'} ${action.key}`;
    case 'closeProducer':
      return `end ${action.key}`;
    case 'consume':
      return `receive ${action.producerId}`;
    case 'setLayers':
      return `layers of ${action.producerId}`;
    case 'resumeConsumer':
      return `resume ${action.producerId}`;
    case 'pauseConsumer':
      return `pause ${action.producerId}`;
    case 'closeConsumer':
      return `end ${action.producerId}`;
    case 'consumeData':
      return `receive channel ${action.dataProducerId}`;
    case 'mute':
    case 'forgetConsumer':
    case 'forgetData':
      return null;
  }
}

/** One producer of a local source: its first, or a backup. */
function differencesOfLocal(wanted: Wanted, existing: Existing, local: LocalSource, key: string, backup?: Backup): Action[] {
  const outgoing = existing.outgoing.get(key);
  const subscribers = wanted.subscribers.get(local.source) ?? 'everyone';
  // A new producer is open to everyone: nothing is sent before the server has the list.
  const first = existing.outgoing.get(local.source);
  const held = first ? first.subscribers === null : subscribers !== 'everyone';
  if (!outgoing) return existing.canProduce(local.kind) ? [{ do: 'produce', key, local, held, backup }] : [];
  const { producer, sending, serverPaused } = outgoing;
  const paused = local.paused || held;
  const actions: Action[] = [];
  if (!backup && outgoing.subscribers !== subscribers)
    actions.push({ do: 'setSubscribers', key, source: local.source, subscribers });
  if ((existing.hints.wanted.get(producer.id) ?? null) !== sending) actions.push({ do: 'sendWanted', key });
  if (producer.track !== local.track) actions.push({ do: 'replaceTrack', key, track: local.track });
  // In the browser immediately, before the server's answer: from now on no sound of a muted microphone may be
  // sent.
  if (paused !== producer.paused) actions.push({ do: 'mute', key, muted: paused });
  if (paused !== serverPaused) actions.push({ do: 'pauseProducer', key, source: local.source, paused });
  return actions;
}

function differencesOfBackups(wanted: Wanted, existing: Existing): Action[] {
  const { local } = wanted;
  const { outgoing, hints } = existing;
  const actions: Action[] = [];
  for (const backup of hints.backups.values()) {
    const first = [...outgoing.values()].find(({ producer }) => producer.id === backup.producerId);
    const source = first && local.get(first.key);
    if (source) actions.push(...differencesOfLocal(wanted, existing, source, backup.key, backup));
  }
  for (const key of outgoing.keys()) {
    // Closing a producer closes its backups.
    if (!local.has(key) && !hints.backups.has(key)) actions.push({ do: 'closeProducer', key });
  }
  return actions;
}

function differencesOfRoster(wanted: Wanted, { incoming }: Existing): Action[] {
  const actions: Action[] = [];
  for (const [peerId, peer] of wanted.roster) {
    for (const { id, source, kind } of peer.sources.values()) {
      const found = incoming.get(id);
      const reception = kind === 'video' ? wanted.videoReception : 'on';
      if (!found) {
        const isDue = reception === 'on' && !wanted.unplayable.has(id);
        if (isDue) actions.push({ do: 'consume', producerId: id, peerId, source });
        continue;
      }
      if (reception === 'off') {
        actions.push({ do: 'closeConsumer', producerId: id });
        continue;
      }
      if (reception === 'paused' || (kind === 'video' && isHidden(wanted, id))) {
        if (!found.serverPaused) actions.push({ do: 'pauseConsumer', producerId: id });
        continue;
      }
      // Before the consumer is resumed, so that its first keyframe has the right size.
      const layers = layersFor(wanted, id, found);
      if (layers && !sameLayers(layers, found.preferred)) actions.push({ do: 'setLayers', producerId: id, layers });
      else if (found.serverPaused) actions.push({ do: 'resumeConsumer', producerId: id });
    }
  }
  for (const producerId of incoming.keys()) {
    if (!ownerOf(wanted.roster, producerId)) actions.push({ do: 'forgetConsumer', producerId });
  }
  return actions;
}

function differencesOfChannels(wanted: Wanted, { incomingChannels }: Existing): Action[] {
  const actions: Action[] = [];
  for (const [peerId, { channels }] of wanted.roster) {
    for (const { id, label } of channels.values()) {
      const isDue = !incomingChannels.has(id) && !wanted.unplayable.has(id) && wanted.wantsChannel(label);
      if (isDue) actions.push({ do: 'consumeData', dataProducerId: id, peerId });
    }
  }
  for (const dataProducerId of incomingChannels.keys()) {
    if (!ownerOfChannel(wanted.roster, dataProducerId)) actions.push({ do: 'forgetData', dataProducerId });
  }
  return actions;
}

/** Video that is not shown is not sent to this client. */
function isHidden({ lines, pinned }: Wanted, id: string): boolean {
  return lines.get(id) === 0 && !pinned.has(id);
}

/** The layers to request; null keeps the server's default, which is the highest. */
function layersFor(
  { pinned, lines }: Wanted,
  id: string,
  { spatialLayers, preferred }: Pick<Incoming, 'spatialLayers' | 'preferred'>,
): Layers | null {
  const byHand = pinned.get(id);
  if (byHand) return byHand;
  const height = lines.get(id);
  if (height !== undefined && spatialLayers > 1) return { spatialLayer: spatialLayerFor(height, spatialLayers) };
  return preferred && { spatialLayer: spatialLayers - 1 };
}

function sameLayers(a: Layers, b: Layers | null): boolean {
  return a.spatialLayer === b?.spatialLayer && a.temporalLayer === b?.temporalLayer;
}
