// Who is speaking: asks the browser for audio levels a few times a second and keeps a name lit for a moment, so that it does not flicker
// between words.

import type { Media } from './media';

const POLL_MS = 400;
/** Of 1.0, the loudest; RTCInboundRtpStreamStats.audioLevel is linear. About -34 dBov. */
const LEVEL_MIN = 0.02;
const HOLD_MS = 700;

export class Speaking {
  readonly #onChange: () => void;
  readonly #heardAt = new Map<string, number>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #now: ReadonlySet<string> = new Set();

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get now(): ReadonlySet<string> {
    return this.#now;
  }

  start(media: () => Media | null, me: () => string): void {
    this.#timer = setInterval(() => {
      const current = media();
      // A page nobody looks at has no ring to light.
      const hidden = typeof document !== 'undefined' && document.hidden;
      if (current && !hidden) this.#listen(current, me()).catch(() => undefined);
      this.#update(Date.now());
    }, POLL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#now = new Set();
  }

  async #listen(media: Media, me: string): Promise<void> {
    const owners = new Map<string, string>();
    for (const { consumer, peerId } of media.incoming.values()) {
      if (consumer.kind === 'audio' && !consumer.closed) owners.set(consumer.track.id, peerId);
    }
    if (owners.size > 0) {
      for (const stats of (await media.getStats('recv')).values()) {
        if (stats.type !== 'inbound-rtp' || stats.kind !== 'audio' || !(stats.audioLevel >= LEVEL_MIN)) continue;
        const owner = owners.get(stats.trackIdentifier);
        if (owner) this.#heardAt.set(owner, Date.now());
      }
    }
    const microphone = media.outgoing.get('microphone')?.producer;
    if (microphone && !microphone.paused) {
      for (const stats of (await microphone.getStats()).values()) {
        if (stats.type === 'media-source' && stats.audioLevel >= LEVEL_MIN) this.#heardAt.set(me, Date.now());
      }
    }
  }

  #update(now: number): void {
    for (const [who, at] of this.#heardAt) if (now - at > HOLD_MS) this.#heardAt.delete(who);
    const changed = this.#heardAt.size !== this.#now.size || [...this.#heardAt.keys()].some((who) => !this.#now.has(who));
    if (!changed) return;
    this.#now = new Set(this.#heardAt.keys());
    this.#onChange();
  }
}
