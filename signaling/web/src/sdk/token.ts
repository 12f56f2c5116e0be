// The token of a call: which one joins, and when the next one is requested from the application. Only the server checks
// tokens; this file reads their times and nothing else.

import { messageOf, retryAfterMs, SignalError, TokenUnavailable } from './errors';
import type { Note } from './log';

/** A token, or a function that returns one. The function is called before a join and before a token ends. */
export type TokenSource = string | (() => string | Promise<string>);

/** Milliseconds since 1970. */
export interface TokenTimes {
  expiresAt: number;
  issuedAt: number | null;
}

/**
 * A new token is requested when this share of the remaining time is left, and not earlier than this before the end.
 */
const LEAD_SHARE = 1 / 4;
const LEAD_MAX_MS = 60_000;
/** After a failure: the first and the longest pause, plus up to half of it at random. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** The application has this long to give a token. */
const SOURCE_MS_MAX = 30_000;
/** The longest time of `setTimeout`, which fires at once for longer ones. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Null: the token has no `exp` that can be read. */
export function timesOf(token: string): TokenTimes | null {
  const claims = claimsOf(token);
  if (typeof claims?.exp !== 'number') return null;
  return { expiresAt: claims.exp * 1_000, issuedAt: typeof claims.iat === 'number' ? claims.iat * 1_000 : null };
}

function claimsOf(token: string): { exp?: unknown; iat?: unknown } | null {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    return Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}

/**
 * The time that is left; zero or less: the token has ended. A clock that is behind shows more than the token was ever
 * valid for; then its whole lifetime counts.
 */
export function remainingMs({ expiresAt, issuedAt }: TokenTimes, now: number): number {
  return Math.min(expiresAt - now, expiresAt - (issuedAt ?? Number.NEGATIVE_INFINITY));
}

/** The pause until the next token is requested, for a token with this much time left. */
export function renewalPauseMs(remaining: number): number {
  return remaining - Math.min(remaining * LEAD_SHARE, LEAD_MAX_MS);
}

/** The pause after this many failures in a row; `chance` is from 0 to 1. */
export function retryPauseMs(failures: number, chance = Math.random()): number {
  return Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS) * (1 + chance / 2);
}

export interface TokenEvents {
  /**
   * Replaces the token on the open socket. Does nothing while this client is not in the room: the next join carries
   * the new token. Rejects if the server refuses it.
   */
  refresh(token: string): Promise<void>;
  note: Note;
}

export class CallToken {
  readonly #source: (() => string | Promise<string>) | null;
  readonly #events: TokenEvents;
  #newest: string;
  #asking: Promise<string> | null = null;
  /** Failures in a row: no token, a refused one, or one that had ended when it arrived. */
  #failures = 0;
  /** The server has a token of this client. */
  #isUsed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(source: TokenSource | undefined, events: TokenEvents) {
    this.#source = typeof source === 'function' ? source : null;
    this.#newest = typeof source === 'string' ? source : '';
    this.#events = events;
  }

  /**
   * The token for a join. `isNew`: the application gave it for this join. Throws `TokenUnavailable` if it gives none
   * and there is no earlier one; an earlier one that has ended is enough to resume.
   */
  async forJoin(): Promise<{ token: string; isNew: boolean }> {
    const times = timesOf(this.#newest);
    const hasEnded = times !== null && remainingMs(times, Date.now()) <= 0;
    if (!this.#source || (this.#newest !== '' && !hasEnded)) return { token: this.#newest, isNew: false };
    try {
      this.#newest = await this.#ask();
      return { token: this.#newest, isNew: true };
    } catch (error) {
      this.#failures += 1;
      if (this.#newest === '') throw new TokenUnavailable(messageOf(error), retryPauseMs(this.#failures));
      this.#events.note(`no new token for the join: ${messageOf(error)}`, 'warn', error);
      return { token: this.#newest, isNew: false };
    }
  }

  /** The server refused the newest token. True: the next join has another one. */
  discard(): boolean {
    if (!this.#source) return false;
    this.#newest = '';
    return true;
  }

  /** The client is in the room. `isUsed`: the server has a token of this client. */
  onJoined(isUsed: boolean): void {
    this.#isUsed = isUsed;
    clearTimeout(this.#timer);
    this.#plan();
  }

  /** Replaces the token with one that the application gives unrequested. Rejects if the server refuses it. */
  async replace(token: string): Promise<void> {
    await this.#refresh(token);
    this.#events.note('the token was replaced');
    this.#plan();
  }

  /** The call has ended. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  /** Plans the next renewal. */
  #plan(): void {
    const times = timesOf(this.#newest);
    if (!this.#source || !this.#isUsed || times === null) return;
    const remaining = remainingMs(times, Date.now());
    // A token that has ended when it arrives: a clock is wrong, or the application gave an old one.
    this.#failures = remaining > 0 ? 0 : this.#failures + 1;
    this.#renewIn(remaining > 0 ? renewalPauseMs(remaining) : retryPauseMs(this.#failures));
  }

  #renewIn(pause: number): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    const rest = pause - TIMER_MS_MAX;
    this.#timer = setTimeout(() => (rest > 0 ? this.#renewIn(rest) : void this.#renew()), Math.min(pause, TIMER_MS_MAX));
  }

  async #renew(): Promise<void> {
    try {
      await this.#refresh(await this.#ask());
    } catch (error) {
      if (this.#ended) return;
      this.#failures += 1;
      this.#events.note(`the token was not renewed: ${messageOf(error)}`, 'warn', error);
      this.#renewIn(Math.max(retryPauseMs(this.#failures), retryAfterMs(error)));
      return;
    }
    if (this.#ended) return;
    this.#events.note('the token was renewed');
    this.#plan();
  }

  /** A token that the server refuses is not kept. After a lost socket the next join carries it. */
  async #refresh(token: string): Promise<void> {
    try {
      if (!this.#ended) await this.#events.refresh(token);
    } catch (error) {
      if (error instanceof SignalError) throw error;
    }
    this.#newest = token;
  }

  /** A token from the application; a join and a renewal at the same time share one request. */
  #ask(): Promise<string> {
    this.#asking ??= this.#askSource().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #askSource(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`The application gave no token within ${SOURCE_MS_MAX / 1_000} seconds.`);
      timer = setTimeout(() => reject(error), SOURCE_MS_MAX);
    });
    try {
      const token = await Promise.race([this.#source?.(), late]);
      if (!token) throw new Error('The application gave no token.');
      return token;
    } finally {
      clearTimeout(timer);
    }
  }
}
