// The events of a call, for debugging and tests.

/** Number of entries; the oldest are removed. */
const LEN_MAX = 500;

export interface HistoryEntry {
  /** Milliseconds since the epoch. */
  at: number;
  what: string;
}

export class History {
  readonly entries: HistoryEntry[] = [];

  readonly note = (what: string): void => {
    this.entries.push({ at: Date.now(), what });
    if (this.entries.length > LEN_MAX) this.entries.shift();
  };
}
