// The running actions of one `Media`, and those that wait for their next try: one of each name at a time,
// with longer pauses after failures.

import { retryAfterMs } from './errors';
import { type Action, nameOf } from './sync';

/** First and longest pause before a failed action is tried again. */
const RETRY_MIN_MS = 300;
const RETRY_MAX_MS = 5_000;
/** After this many failures in a row, one notice is shown to the user; the tries continue. */
export const FAILURES_BEFORE_NOTICE = 3;

/**
 * The next step after a failed action: another try; a new comparison, because the failure was applied or a
 * try is impossible now; or none.
 */
export type Verdict = 'retry' | 'settled' | 'stop';

export interface WorkEvents {
  /** An action has ended, or its pause has: compare again. */
  onChange(): void;
  onFailed(name: string, action: Action, error: unknown): Verdict;
  /** The number of failures in a row has reached the limit. */
  onStuck(error: unknown): void;
}

export class Work {
  readonly #perform: (action: Action) => Promise<void>;
  readonly #events: WorkEvents;
  readonly #busy = new Set<string>();
  /** By name, the failures in a row. */
  readonly #failures = new Map<string, number>();
  #closed = false;

  constructor(perform: (action: Action) => Promise<void>, events: WorkEvents) {
    this.#perform = perform;
    this.#events = events;
  }

  /** True when no action runs or waits. */
  get idle(): boolean {
    return this.#busy.size === 0;
  }

  /** Starts an action, unless one of the same name runs or waits. */
  start(action: Action): void {
    const name = nameOf(action);
    if (name === null) {
      void this.#perform(action);
      return;
    }
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    this.#perform(action).then(
      () => {
        this.#failures.delete(name);
        this.#again(name);
      },
      (error: unknown) => {
        if (!this.#closed) this.#onFailed(name, action, error);
      },
    );
  }

  #onFailed(name: string, action: Action, error: unknown): void {
    const verdict = this.#events.onFailed(name, action, error);
    if (verdict === 'stop') return;
    if (verdict === 'settled') {
      this.#again(name);
      return;
    }
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    if (failures === FAILURES_BEFORE_NOTICE) this.#events.onStuck(error);
    const again = () => {
      if (!this.#closed) this.#again(name);
    };
    setTimeout(again, Math.max(backoffMs(failures), retryAfterMs(error)));
  }

  #again(name: string): void {
    this.#busy.delete(name);
    this.#events.onChange();
  }

  /** Actions that are still running end without effect. */
  close(): void {
    this.#closed = true;
  }
}

/** The pause after this many failures in a row. */
export function backoffMs(failures: number): number {
  return Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS);
}
