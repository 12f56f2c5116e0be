// The place of this client in the numbered notifications of its peer: which notification is applied next, and
// from where the server continues after a resume. A notification is applied exactly once.

import type { Joined, NotificationPosition } from '../gen/signal_pb';

export type Verdict =
  | 'apply'
  /** The client has applied it already. */
  | 'repeated'
  /** One before it is missing: the client needs a snapshot. */
  | 'gap';

export class Position {
  #log = 0n;
  /** The number of the last notification that was applied; null when the server does not number them. */
  #number: bigint | null = null;

  /** For the next resume; undefined when the client needs a snapshot. */
  get resume(): Pick<NotificationPosition, 'log' | 'number'> | undefined {
    return this.#number === null ? undefined : { log: this.#log, number: this.#number };
  }

  /** The client is in the room. */
  onJoined({ position }: Pick<Joined, 'position'>): void {
    this.#log = position?.log ?? 0n;
    this.#number = position?.number ?? null;
  }

  /** A notification with this number arrives; 0 has none. */
  take(number: bigint): Verdict {
    if (number === 0n || this.#number === null) return 'apply';
    if (number <= this.#number) return 'repeated';
    if (number > this.#number + 1n) return 'gap';
    this.#number = number;
    return 'apply';
  }

  /** The next resume gets a snapshot. */
  forget(): void {
    this.#number = null;
  }
}
