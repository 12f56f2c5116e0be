// Structured log entries of a call, for a sink that the application sets (`CallOptions.log`). The format is that of the
// server's logs (docs/logs.md).

/** The level of a log entry. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Which call, user and peer a log entry is about, as far as it is known. */
export interface LogContext {
  roomId?: string;
  userId?: string;
  peerId?: string;
}

/** One entry of the log of a call. */
export interface LogEntry {
  /** Milliseconds since the epoch. */
  timestamp: number;
  level: LogLevel;
  context: LogContext;
  /** One sentence. */
  message: string;
  error?: Error;
}

/** Called for each entry, while the call waits: it returns soon. What it throws is ignored. */
export type LogSink = (entry: LogEntry) => void;

/** Notes something that happened; `error` is its cause. */
export type Note = (message: string, level?: LogLevel, error?: unknown) => void;

export class Log {
  readonly #sink: LogSink | undefined;
  readonly #context: () => LogContext;

  constructor(sink: LogSink | undefined, context: () => LogContext) {
    this.#sink = sink;
    this.#context = context;
  }

  readonly write: Note = (message, level = 'info', error) => {
    if (!this.#sink) return;
    const entry: LogEntry = { timestamp: Date.now(), level, context: this.#context(), message };
    if (error !== undefined) entry.error = error instanceof Error ? error : new Error(String(error));
    try {
      this.#sink(entry);
    } catch {
      // A fault of the sink must not end the call.
    }
  };
}

/** An entry as one line of JSON. An `Error` itself has no fields in JSON. */
export function logLine({ error, ...entry }: LogEntry): string {
  return JSON.stringify(error ? { ...entry, error: { name: error.name, message: error.message, stack: error.stack } } : entry);
}
