// The changes that a notification causes: in the roster, and at most one effect. Pure.

import type { ScoreChanged } from '../gen/signal_pb';
import { type AccessChange, permissionsOf, policyOf, waitingClientOf } from './access';
import type { Payload } from './channel';
import type { Layers } from './layers';
import * as roster from './roster';
import type { Volume } from './speaking';

/** Changes of transports, of this client's producers, and of consumers. */
export type MediaChange =
  | { on: 'layersWanted'; producerId: string; layers: ReadonlySet<number> }
  | { on: 'backupWanted'; producerId: string; mimeType: string }
  | { on: 'layersChanged'; consumerId: string; layers: Layers | null }
  | { on: 'consumerScore'; consumerId: string; score: number }
  | { on: 'producerScore'; producerId: string; encoding: number; score: number }
  | { on: 'transportClosed'; transportId: string; reason: string }
  | { on: 'mediaLost'; reason: string }
  | { on: 'mediaReady'; epoch: string };

export type Effect =
  | { on: 'media'; change: MediaChange }
  /** The server closed a consumer: its producer cannot be received any longer. */
  | { on: 'consumerClosed'; consumerId: string }
  | { on: 'speakers'; volumes: readonly Volume[] }
  /** A producer or a data producer can be received, for the first time or again. */
  | { on: 'announced'; producerId: string }
  /** The server closed a data consumer. */
  | { on: 'dataConsumerClosed'; dataConsumerId: string }
  /** A data producer is closed: of another peer, or of this client. */
  | { on: 'dataProducerClosed'; dataProducerId: string }
  /** The server closed a producer: of another peer, or of this client because it is not permitted. */
  | { on: 'producerClosed'; producerId: string }
  /** An administrator muted a producer of this client, or ended the mute. */
  | { on: 'muted'; producerId: string; muted: boolean }
  | { on: 'access'; change: AccessChange }
  | { on: 'evicted'; reason: string }
  /** Another client sent a message. */
  | { on: 'message'; from: string; topic: string; body: Uint8Array }
  /** An entry for the history. */
  | { on: 'note'; what: string };

export interface Applied {
  roster: roster.Roster;
  effect: Effect | null;
}

export function apply(before: roster.Roster, payload: Payload): Applied {
  return { roster: rosterAfter(before, payload), effect: effectOf(payload) };
}

function rosterAfter(before: roster.Roster, payload: Payload): roster.Roster {
  switch (payload.case) {
    case 'peerJoined':
      return payload.value.peer ? roster.join(before, roster.peerOf(payload.value.peer)) : before;
    case 'peerLeft':
      return roster.leave(before, payload.value.peerId);
    case 'peerAway':
      return roster.setAway(before, payload.value.peerId, payload.value.away);
    case 'peerChanged':
      return roster.describe(before, payload.value);
    case 'presenceChanged': {
      const presence = roster.presenceOf(payload.value.state);
      return presence ? roster.setPresence(before, payload.value.user, presence) : before;
    }
    case 'newProducer': {
      const { peerId, producer } = payload.value;
      return producer ? roster.addSource(before, peerId, producer) : before;
    }
    case 'newDataProducer': {
      const { peerId, dataProducer } = payload.value;
      return dataProducer ? roster.addChannel(before, peerId, dataProducer) : before;
    }
    case 'dataProducerClosed':
      return roster.removeChannel(before, payload.value.dataProducerId);
    case 'producerClosed':
      return roster.removeSource(before, payload.value.producerId);
    case 'producerPaused':
      return roster.setPaused(before, payload.value.producerId, true);
    case 'producerResumed':
      return roster.setPaused(before, payload.value.producerId, false);
    default:
      return before;
  }
}

function effectOf(payload: Payload): Effect | null {
  switch (payload.case) {
    case 'peerJoined':
    case 'peerLeft':
    case 'peerAway':
    case 'peerChanged':
    case 'presenceChanged':
    case 'producerPaused':
    case 'producerResumed':
      return null;
    case 'newProducer':
      return payload.value.producer ? { on: 'announced', producerId: payload.value.producer.id } : null;
    case 'newDataProducer':
      return payload.value.dataProducer ? { on: 'announced', producerId: payload.value.dataProducer.id } : null;
    case 'dataProducerClosed':
      return { on: 'dataProducerClosed', dataProducerId: payload.value.dataProducerId };
    case 'dataConsumerClosed':
      return { on: 'dataConsumerClosed', dataConsumerId: payload.value.dataConsumerId };
    case 'producerClosed':
      return { on: 'producerClosed', producerId: payload.value.producerId };
    case 'muted':
      return { on: 'muted', producerId: payload.value.producerId, muted: payload.value.muted };
    case 'roomChanged':
      return { on: 'access', change: { on: 'policy', policy: policyOf(payload.value.policy) } };
    case 'permissionsChanged': {
      const { permissions, waiting } = payload.value;
      const change = { on: 'role', permissions: permissionsOf(permissions), waiting: waiting.map(waitingClientOf) } as const;
      return { on: 'access', change };
    }
    case 'peerWaiting': {
      const client = waitingClientOf(payload.value);
      const change: AccessChange = payload.value.gone ? { on: 'notWaiting', id: client.id } : { on: 'waiting', client };
      return { on: 'access', change };
    }
    case 'peerMessage': {
      const { peerId, topic, body } = payload.value;
      return { on: 'message', from: peerId, topic, body };
    }
    case 'consumerClosed':
      return { on: 'consumerClosed', consumerId: payload.value.consumerId };
    case 'layersWanted': {
      const { producerId, spatialLayers } = payload.value;
      return { on: 'media', change: { on: 'layersWanted', producerId, layers: new Set(spatialLayers) } };
    }
    case 'backupWanted': {
      const { producerId, mimeType } = payload.value;
      return { on: 'media', change: { on: 'backupWanted', producerId, mimeType } };
    }
    case 'layersChanged': {
      const { consumerId, layers = null } = payload.value;
      return { on: 'media', change: { on: 'layersChanged', consumerId, layers } };
    }
    case 'transportClosed': {
      const { transportId, reason } = payload.value;
      return { on: 'media', change: { on: 'transportClosed', transportId, reason } };
    }
    case 'mediaLost':
      return { on: 'media', change: { on: 'mediaLost', reason: payload.value.reason } };
    case 'mediaReady':
      return { on: 'media', change: { on: 'mediaReady', epoch: payload.value.engineEpoch } };
    case 'evicted':
      return { on: 'evicted', reason: payload.value.reason || 'You were removed from the room.' };
    case 'error':
      // The server shuts down. Its socket closes next, and the client connects again.
      return { on: 'note', what: `message of the server: ${payload.value.message}` };
    case 'activeSpeakers':
      return { on: 'speakers', volumes: payload.value.volumes };
    case 'scoreChanged':
      return scoreOf(payload.value);
    default:
      return { on: 'note', what: `skipped a notification: ${payload.case ?? 'empty or unknown'}` };
  }
}

function scoreOf({ of, encoding, score }: ScoreChanged): Effect | null {
  switch (of.case) {
    case 'consumerId':
      return { on: 'media', change: { on: 'consumerScore', consumerId: of.value, score } };
    case 'producerId':
      return { on: 'media', change: { on: 'producerScore', producerId: of.value, encoding, score } };
    default:
      return null; // A kind of object that a later version adds.
  }
}
