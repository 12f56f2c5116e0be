// The events of a call, for debugging and tests.

import type { Note } from './log';

/** Number of entries; the oldest are removed. */
const LEN_MAX = 500;

/** One entry of `Call.history`. */
export interface HistoryEntry {
  /** Milliseconds since the epoch. */
  at: number;
  what: string;
}

export class History {
  readonly entries: HistoryEntry[] = [];
  readonly #log: Note;

  /** `log` gets everything that the history gets. */
  constructor(log: Note) {
    this.#log = log;
  }

  readonly note: Note = (what, level, error) => {
    this.entries.push({ at: Date.now(), what });
    if (this.entries.length > LEN_MAX) this.entries.shift();
    this.#log(what, level, error);
  };
}
