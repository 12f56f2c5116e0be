// Reports the user's activity: the server takes a client with recent reports as in use. Without a report for some
// minutes, it counts as idle.

/** The server counts minutes; more reports than this would change nothing. */
export const REPORT_INTERVAL_MS = 30_000;

export class Activity {
  readonly #report: () => void;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /** `report` sends a report to the server. */
  constructor(report: () => void) {
    this.#report = report;
  }

  /** The client joined or returned: the next activity is reported at once. */
  reset(): void {
    this.#reportedAt = Number.NEGATIVE_INFINITY;
  }

  /** The user did something. `now` is in milliseconds. */
  touch(now: number): void {
    if (now - this.#reportedAt < REPORT_INTERVAL_MS) return;
    this.#reportedAt = now;
    this.#report();
  }
}
