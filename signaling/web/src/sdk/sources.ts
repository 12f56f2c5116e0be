// The objects that this client sends and receives, as data. `media.ts` creates these records and changes
// them; `sync.ts` and `view.ts` read them.

import type { types } from 'mediasoup-client';
import type { Layers } from './layers';
import type { MediaKind } from './roster';

/** A direction of media, as this client sees it. */
export type Direction = 'send' | 'recv';

/** Something this client sends or wants to send. */
export interface LocalSource {
  readonly source: string;
  readonly kind: MediaKind;
  readonly track: MediaStreamTrack;
  readonly paused: boolean;
}

/** Who may receive a source: everyone in the room, or the users with these ids. */
export type Subscribers = 'everyone' | readonly string[];

/**
 * What this client receives of the video of others. `paused`: the server sends none of it, and the picture returns
 * with the next keyframe. `off`: it is not requested.
 */
export type VideoReception = 'on' | 'paused' | 'off';

/** The same source in a second codec, for receivers that cannot play the first. */
export interface Backup {
  /** Key in `outgoing`. */
  readonly key: string;
  /** The producer that it replaces for those receivers. */
  readonly producerId: string;
  readonly mimeType: string;
}

/** A producer, and its last known state on the server. */
export interface Outgoing {
  readonly producer: types.Producer;
  /** The source's name, or a backup's key. */
  readonly key: string;
  /** The encodings when all of them are wanted. */
  readonly encodings: readonly types.RtpEncodingParameters[];
  serverPaused: boolean;
  /**
   * Who may receive it. Null: it was created for a list of users that the server does not have yet; it stays paused
   * until then. A backup follows its first producer.
   */
  subscribers: Subscribers | null;
  /** The spatial layers that the encoder is set to send; null means all. */
  sending: ReadonlySet<number> | null;
}

/** A consumer, and its last known state on the server. */
export interface Incoming {
  readonly consumer: types.Consumer;
  readonly peerId: string;
  /** Number of spatial layers; 1 where there is no choice. */
  readonly spatialLayers: number;
  serverPaused: boolean;
  preferred: Layers | null;
}

/** A data consumer: a channel on which another peer sends. */
export interface IncomingChannel {
  readonly consumer: types.DataConsumer;
  readonly peerId: string;
}

/**
 * The layers that the server sends to a consumer, and since when (milliseconds since the epoch). Null layers:
 * the server sends nothing.
 */
export interface Sent {
  layers: Layers | null;
  at: number;
}

/**
 * The server's reports about the producers and consumers of this client. They are valid as long as their
 * transports.
 */
export class Hints {
  /**
   * By producer id, the spatial layers that have receivers. The report may arrive before the answer that
   * carries the producer's id.
   */
  readonly wanted = new Map<string, ReadonlySet<number>>();
  /** By key, the backups that the server has requested. */
  readonly backups = new Map<string, Backup>();
  /** By consumer id. */
  readonly sent = new Map<string, Sent>();
  /** By consumer id: from 0 (no media arrives) to 10 (no loss). A consumer starts at 10 without a report. */
  readonly consumerScores = new Map<string, number>();
  /** By producer id, the scores of its encodings. */
  readonly producerScores = new Map<string, ReadonlyMap<number, number>>();

  /** Removes everything that the server reports on a change only. */
  clear(): void {
    this.wanted.clear();
    this.sent.clear();
    this.consumerScores.clear();
    this.producerScores.clear();
  }

  setProducerScore(producerId: string, encoding: number, score: number): void {
    this.producerScores.set(producerId, new Map(this.producerScores.get(producerId)).set(encoding, score));
  }

  /** Removes a producer, and returns its backups, which it removes as well. */
  forgetProducer(producerId: string): Backup[] {
    this.wanted.delete(producerId);
    this.producerScores.delete(producerId);
    const backups = [...this.backups.values()].filter((backup) => backup.producerId === producerId);
    for (const { key } of backups) this.backups.delete(key);
    return backups;
  }
}
