// The active speakers. The server reports the other peers (`ActiveSpeakers`); for this client's own
// microphone the browser has the level earlier, and without a server. A speaker is shown for a moment longer,
// so that names do not flicker between words.

import type { types } from 'mediasoup-client';

/** RFC 6464 levels are averages of a packet. Speech is at -40 to -20 dBov, a quiet room below -50. */
const VOLUME_MIN_DBOV = -45;
/** Of the browser's `audioLevel`, which is a peak: 1.0 is the loudest, linear. About -34 dBov. */
const LEVEL_MIN = 0.02;
const HOLD_MS = 700;
const POLL_MS = 400;

export interface Volume {
  readonly peerId: string;
  /** Decibels relative to overload, -127 to 0. */
  readonly dbov: number;
}

/** The last report of the server. It reports changes only: a peer stays loud until a report without it. */
export interface Reported {
  readonly loud: ReadonlySet<string>;
  /** Peers that were loud, and since when they are not (milliseconds since the epoch). */
  readonly quietSince: ReadonlyMap<string, number>;
}

export const nothingReported: Reported = { loud: new Set(), quietSince: new Map() };

/** After a report of all volumes in the room. */
export function afterReport(before: Reported, volumes: readonly Volume[], now: number): Reported {
  const loud = new Set(volumes.filter(({ dbov }) => dbov >= VOLUME_MIN_DBOV).map(({ peerId }) => peerId));
  const recent = [...before.quietSince].filter(([peerId, at]) => !loud.has(peerId) && now - at <= HOLD_MS);
  const quiet = [...before.loud].filter((peerId) => !loud.has(peerId)).map((peerId) => [peerId, now] as const);
  return { loud, quietSince: new Map([...recent, ...quiet]) };
}

export function speakersOf({ loud, quietSince }: Reported, now: number): Set<string> {
  const recent = [...quietSince].filter(([, at]) => now - at <= HOLD_MS).map(([peerId]) => peerId);
  return new Set([...loud, ...recent]);
}

export interface SpeakingEvents {
  onChange(): void;
  microphone(): types.Producer | undefined;
  /** The user speaks; called several times a second. */
  onOwnVoice(): void;
  /** This client's peer id. */
  ownId(): string;
}

export class Speaking {
  readonly #events: SpeakingEvents;
  #reported = nothingReported;
  #ownLoudAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setInterval> | undefined;
  #now: ReadonlySet<string> = new Set();

  constructor(events: SpeakingEvents) {
    this.#events = events;
  }

  /** Peer ids, this client's own among them. */
  get now(): ReadonlySet<string> {
    return this.#now;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#listen().catch(() => undefined);
      this.#update();
    }, POLL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#reported = nothingReported;
    this.#ownLoudAt = Number.NEGATIVE_INFINITY;
    this.#now = new Set();
  }

  onReport(volumes: readonly Volume[]): void {
    const own = this.#events.ownId();
    const others = volumes.filter(({ peerId }) => peerId !== own);
    this.#reported = afterReport(this.#reported, others, Date.now());
    this.#update();
  }

  /** No more reports will arrive: the socket or the engine is lost. */
  onReportsLost(): void {
    this.#reported = nothingReported;
    this.#update();
  }

  async #listen(): Promise<void> {
    const microphone = this.#events.microphone();
    if (!microphone || microphone.paused) return;
    for (const stats of (await microphone.getStats()).values()) {
      if (stats.type !== 'media-source' || stats.audioLevel < LEVEL_MIN) continue;
      this.#ownLoudAt = Date.now();
      this.#events.onOwnVoice();
    }
  }

  #update(): void {
    const now = Date.now();
    const speakers = speakersOf(this.#reported, now);
    if (now - this.#ownLoudAt <= HOLD_MS) speakers.add(this.#events.ownId());
    if (speakers.size === this.#now.size && [...speakers].every((peerId) => this.#now.has(peerId))) return;
    this.#now = speakers;
    this.#events.onChange();
  }
}
