// How a call gets its media path back after ICE has lost it: first an ICE restart (`Media`), then new transports over a
// relay, then a new join, and again with growing pauses. It decides; `lifecycle.ts` and `core.ts` act.

import type { Note } from './log';

/** mediasoup-client cannot change the policy of a transport: `relay` and `newTransports` make new ones and move the tracks. */
export type RecoveryStep = 'iceRestart' | 'relay' | 'newTransports' | 'rejoin';

/** What a call does to get its media path back. */
export interface RecoveryView {
  readonly step: RecoveryStep;
  /** Joins since the path was lost, plus one. */
  readonly attempt: number;
  /** When the path was lost: milliseconds since the epoch. */
  readonly since: number;
}

export interface RestartConfig {
  iceServers: RTCIceServer[];
  iceTransportPolicy: RTCIceTransportPolicy;
}

/** What carries the media. */
export interface RecoveryPeer {
  /** New transports with this configuration; the tracks move to them. */
  restartIce(config: RestartConfig): void;
  /** A new socket, a new join, and new transports. */
  rejoin(): void;
  /** The latest ICE servers of the server; their credentials expire. */
  iceServers(): RTCIceServer[];
  isJoined(): boolean;
}

export interface RecoveryEvents {
  onChange(): void;
  note: Note;
}

/** New transports have no path after this long: the next step. */
const CONNECT_MS = 15_000;
const REJOIN_PAUSE_MIN_MS = 1_000;
const REJOIN_PAUSE_MAX_MS = 30_000;

export class Recovery {
  readonly #peer: RecoveryPeer;
  readonly #events: RecoveryEvents;
  #now: RecoveryView | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(peer: RecoveryPeer, events: RecoveryEvents) {
    this.#peer = peer;
    this.#events = events;
  }

  /** Null while media has its path. */
  get now(): RecoveryView | null {
    return this.#now;
  }

  /** The path is lost. `step` is what happens by itself. */
  onLost(step: 'iceRestart' | 'newTransports'): void {
    if (!this.#now) this.#set(step, 1);
  }

  /** Media has its path again. */
  onRestored(): void {
    if (!this.#now) return;
    const { step, since } = this.#now;
    clearTimeout(this.#timer);
    this.#now = null;
    this.#events.note(`media path restored by ${step} after ${Date.now() - since} ms`);
    this.#events.onChange();
  }

  /** The step had no result: the next one. */
  onFailed(): void {
    clearTimeout(this.#timer);
    const { step, attempt } = this.#now ?? { step: 'iceRestart', attempt: 1 };
    // Without signaling the whole network may be away: a direct path is as good as any.
    const next = this.#peer.isJoined() ? stepAfter(step, hasRelay(this.getUpdatedIceServers())) : 'newTransports';
    if (next === 'relay') this.handleIceFailure();
    else if (next === 'rejoin') this.#rejoin(step === 'rejoin' ? attempt + 1 : attempt);
    else this.#renewTransports();
  }

  /** Goes over to a relay, which reaches networks that direct paths do not. */
  handleIceFailure(): void {
    const restartConfig = { iceServers: this.getUpdatedIceServers(), iceTransportPolicy: 'relay' as const };
    this.#set('relay', this.#now?.attempt ?? 1);
    this.#peer.restartIce(restartConfig);
    this.monitorConnectionQuality();
  }

  #renewTransports(): void {
    this.#set('newTransports', this.#now?.attempt ?? 1);
    this.#peer.restartIce({ iceServers: this.getUpdatedIceServers(), iceTransportPolicy: 'all' });
    this.monitorConnectionQuality();
  }

  /** The latest ICE servers, with credentials that are still valid. */
  getUpdatedIceServers(): RTCIceServer[] {
    return this.#peer.iceServers();
  }

  /** The next step follows if this one gives no path in time. While the client is not joined, no step is possible. */
  monitorConnectionQuality(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#now) return;
      if (this.#peer.isJoined()) this.onFailed();
      else this.monitorConnectionQuality();
    }, CONNECT_MS);
  }

  #rejoin(attempt: number): void {
    this.#set('rejoin', attempt);
    this.#events.onChange();
    this.#timer = setTimeout(() => {
      this.#peer.rejoin();
      this.monitorConnectionQuality();
    }, rejoinPauseMs(attempt));
  }

  #set(step: RecoveryStep, attempt: number): void {
    this.#now = { step, attempt, since: this.#now?.since ?? Date.now() };
    this.#events.note(`recovery: ${step}, attempt ${attempt}`, 'warn');
  }

  /** The call has ended. */
  end(): void {
    clearTimeout(this.#timer);
    this.#now = null;
  }
}

/** The step after one without a result. */
export function stepAfter(step: RecoveryStep, isRelayKnown: boolean): RecoveryStep {
  switch (step) {
    case 'iceRestart':
      return isRelayKnown ? 'relay' : 'newTransports';
    case 'relay':
    case 'newTransports':
      return 'rejoin';
    case 'rejoin':
      return isRelayKnown ? 'relay' : 'rejoin';
  }
}

/** The pause before this join. */
export function rejoinPauseMs(attempt: number): number {
  return Math.min(REJOIN_PAUSE_MIN_MS * 2 ** (attempt - 1), REJOIN_PAUSE_MAX_MS);
}

export function hasRelay(servers: readonly RTCIceServer[]): boolean {
  return servers.some(({ urls }) => [urls].flat().some((url) => /^turns?:/.test(url)));
}
