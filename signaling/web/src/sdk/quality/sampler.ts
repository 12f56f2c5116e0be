// Reads the statistics of both transports at intervals, and keeps the level and the last measurements of each source.

import type { Direction, Incoming, Outgoing } from '../sources';
import { levelAfter, levelOf, type Measurement, measure, type QualityLevel, type Steady } from './measure';
import { isRelayed, type Report, receivedSample, type Sample, sentSample } from './samples';

const SAMPLE_MS = 2_000;
/** Two minutes. */
const SERIES_LEN_MAX = 60;

/** The sources to measure, and where their reports are. */
export interface Measured {
  /** By producer id, the SSRC of what this client receives. */
  readonly received: ReadonlyMap<string, number>;
  /** By name, the section (MID) of what this client sends. */
  readonly sent: ReadonlyMap<string, string>;
  /** The owner of the transports: a new one has new counters. */
  readonly owner: unknown;
  getStats(direction: Direction): Promise<Report>;
}

interface MeasuredMedia {
  readonly incoming: ReadonlyMap<string, Pick<Incoming, 'consumer' | 'serverPaused'>>;
  readonly outgoing: ReadonlyMap<string, Pick<Outgoing, 'producer'>>;
  getStats(direction: Direction): Promise<Report>;
}

export function measuredOf(media: MeasuredMedia): Measured {
  const received = new Map<string, number>();
  for (const [id, { consumer, serverPaused }] of media.incoming) {
    // Nothing is sent of it.
    if (serverPaused) continue;
    const ssrc = consumer.rtpParameters.encodings?.[0]?.ssrc;
    if (ssrc !== undefined) received.set(id, ssrc);
  }
  const sent = new Map<string, string>();
  for (const [key, { producer }] of media.outgoing) {
    const { mid } = producer.rtpParameters;
    if (mid !== undefined) sent.set(key, mid);
  }
  return { received, sent, owner: media, getStats: (direction) => media.getStats(direction) };
}

/** The quality of one source. `series` begins with the oldest measurement. */
export interface SourceQuality {
  readonly level: QualityLevel;
  readonly series: readonly Measurement[];
}

interface Entry extends SourceQuality {
  readonly sample: Sample;
  readonly steady: Steady | null;
}

/** A received source in one round. */
export interface ReceivedSource {
  /** The counters of the round before; undefined in the first one. */
  readonly before: Sample | undefined;
  readonly now: Sample;
  /** Null if nothing was received since. */
  readonly measurement: Measurement | null;
}

export interface Round {
  readonly received: readonly ReceivedSource[];
  /** The latest round-trip times of sources that this client sends, in milliseconds. */
  readonly sentRttMs: readonly number[];
  /** Whether a TURN server relays media; null without a path. */
  readonly relayed: boolean | null;
}

export class QualitySampler {
  readonly #measured: () => Measured | null;
  readonly #onChange: () => void;
  readonly #onRound: (round: Round) => void;
  #entries: ReadonlyMap<string, Entry> = new Map();
  #timer: ReturnType<typeof setInterval> | undefined;
  #quality: ReadonlyMap<string, SourceQuality> = new Map();

  constructor(measured: () => Measured | null, onChange: () => void, onRound: (round: Round) => void = () => undefined) {
    this.#measured = measured;
    this.#onChange = onChange;
    this.#onRound = onRound;
  }

  /** By producer id for what this client receives, by name for what it sends. A source that was not measured has none. */
  get now(): ReadonlyMap<string, SourceQuality> {
    return this.#quality;
  }

  start(): void {
    this.#timer = setInterval(() => void this.sample().catch(() => undefined), SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#entries = new Map();
    this.#quality = new Map();
  }

  /** One round. */
  async sample(): Promise<void> {
    const measured = this.#measured();
    if (!measured) return this.#set(new Map());
    const [recv, send] = await Promise.all([measured.getStats('recv'), measured.getStats('send')]);
    // The transports were replaced meanwhile: what was read belongs to the former ones.
    if (this.#measured()?.owner !== measured.owner) return;
    const samples = [
      ...[...measured.received].map(([key, ssrc]) => [key, receivedSample(recv, ssrc)] as const),
      ...[...measured.sent].map(([key, mid]) => [key, sentSample(send, mid)] as const),
    ];
    const found = samples.flatMap(([key, sample]) =>
      sample ? [[key, entryAfter(this.#entries.get(key), sample)] as const] : [],
    );
    const entries = new Map(found);
    const paths = [isRelayed(recv), isRelayed(send)].filter((relayed) => relayed !== null);
    this.#onRound({
      received: [...measured.received.keys()].flatMap((key) => this.#receivedSource(key, entries.get(key))),
      sentRttMs: [...measured.sent.keys()].flatMap((key) => entries.get(key)?.sample.rttMs ?? []),
      relayed: paths.length > 0 ? paths.includes(true) : null,
    });
    this.#set(entries);
  }

  #receivedSource(key: string, entry: Entry | undefined): ReceivedSource[] {
    if (!entry) return [];
    const before = this.#entries.get(key)?.sample;
    const last = entry.series.at(-1);
    return [{ before, now: entry.sample, measurement: last && last.at === entry.sample.at && before ? last : null }];
  }

  #set(entries: ReadonlyMap<string, Entry>): void {
    if (entries.size === 0 && this.#entries.size === 0) return;
    this.#entries = entries;
    const measured = [...entries].filter(([, { series }]) => series.length > 0);
    this.#quality = new Map(measured.map(([key, { level, series }]) => [key, { level, series }]));
    this.#onChange();
  }
}

function entryAfter(before: Entry | undefined, sample: Sample): Entry {
  const measurement = before && measure(before.sample, sample);
  const { steady = null, series = [] } = before ?? {};
  if (!measurement) return { sample, steady, series, level: steady?.level ?? 'good' };
  const next = levelAfter(steady, levelOf(measurement));
  return { sample, steady: next, series: [...series, measurement].slice(-SERIES_LEN_MAX), level: next.level };
}
