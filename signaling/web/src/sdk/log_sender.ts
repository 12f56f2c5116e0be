// Sends log entries of a call to the server (`POST /client-logs`, docs/logs.md), in batches. It never delays the call:
// the queue is bounded, and what has no room in it is only counted.

import type { LogEntry, LogLevel } from './log';

const PATH = '/client-logs';
/** The server accepts one request in five seconds for a longer time, and some at once. */
const SEND_EVERY_MS = 10_000;
/** The server accepts twice as many in one request. */
const BATCH_MAX = 50;
/** Entries that wait. Of a longer failure, the first ones have the cause. */
const QUEUE_MAX = 200;
/** A browser sends at most 64 KiB after a page is closed, for all requests of the page. */
const BATCH_CHARS_MAX = 40_000;
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** The place of this client in the room: the server accepts entries of peers only. */
export interface LogSender {
  readonly peerId: string;
  readonly secret: Uint8Array;
}

/** An entry as the server reads it. */
type Line = Pick<LogEntry, 'timestamp' | 'level' | 'message'> & { error?: { name: string; message: string; stack: string } };

export class LogUploader {
  readonly #url: string | URL;
  readonly #least: number;
  readonly #sender: () => LogSender | null;
  readonly #queue: string[] = [];
  #dropped = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isSending = false;

  /** `server`: its origin; undefined is that of the page. `sender` is null before the first join. */
  constructor(server: string | undefined, least: LogLevel, sender: () => LogSender | null) {
    this.#url = server === undefined ? PATH : new URL(PATH, server);
    this.#least = LEVELS.indexOf(least);
    this.#sender = sender;
  }

  /** Entries that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  add({ timestamp, level, message, error }: LogEntry): void {
    if (LEVELS.indexOf(level) < this.#least) return;
    if (this.#queue.length >= QUEUE_MAX) {
      this.#dropped += 1;
      return;
    }
    const line: Line = { timestamp, level, message: message.slice(0, 1_024) };
    if (error) {
      const { name, message: text, stack = '' } = error;
      line.error = { name, message: text.slice(0, 1_024), stack: stack.slice(0, 2_048) };
    }
    this.#queue.push(JSON.stringify(line));
    this.#timer ??= setTimeout(() => void this.#send(), SEND_EVERY_MS);
  }

  /** The page is closing: sends what fits, without waiting for the answer. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const sender = this.#sender();
    if (!sender || this.#isSending || this.#queue.length === 0) return;
    const { body } = this.#batch(sender);
    globalThis.navigator?.sendBeacon?.(this.#url, body);
    this.#queue.length = 0;
  }

  async #send(): Promise<void> {
    this.#timer = undefined;
    const sender = this.#sender();
    if (sender && this.#queue.length > 0) {
      this.#isSending = true;
      const { body, count, dropped } = this.#batch(sender);
      const status = await post(this.#url, body);
      this.#isSending = false;
      // An entry that the server does not accept now is not accepted later either, unless there were too many.
      if (status !== 0 && status !== 429 && status < 500) {
        this.#queue.splice(0, count);
        this.#dropped -= dropped;
      }
    }
    if (this.#queue.length > 0) this.#timer ??= setTimeout(() => void this.#send(), SEND_EVERY_MS);
  }

  #batch({ peerId, secret }: LogSender): { body: string; count: number; dropped: number } {
    const lines: string[] = [];
    let chars = 0;
    for (const line of this.#queue.slice(0, BATCH_MAX)) {
      chars += line.length;
      // One entry always fits.
      if (chars > BATCH_CHARS_MAX) break;
      lines.push(line);
    }
    const head = JSON.stringify({ peerId, secret: btoa(String.fromCharCode(...secret)), dropped: this.#dropped });
    return { body: `${head.slice(0, -1)},"entries":[${lines.join()}]}`, count: lines.length, dropped: this.#dropped };
  }
}

/** The status of the answer; 0 without one. */
async function post(url: string | URL, body: string): Promise<number> {
  try {
    // Text without a content type of JSON: a server of another origin gets no CORS preflight request.
    const answer = await fetch(url, { method: 'POST', body, credentials: 'omit' });
    return answer.status;
  } catch {
    return 0;
  }
}
