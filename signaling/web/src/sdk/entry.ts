// Entry into the room: joins on every new socket, resumes the objects that the client still has, and decides
// how to continue when the server refuses.

import type { Device } from 'mediasoup-client';
import { ErrorCode, type Joined } from '../gen/signal_pb';
import type { Payload, SignalChannel } from './channel';
import type { IdentityStore } from './e2ee/identity_store';
import {
  isFinal,
  isTokenOld,
  NotAdmitted,
  retryAfterMs,
  SignalError,
  SocketLost,
  TokenUnavailable,
  UnexpectedAnswer,
} from './errors';
import type { FileStorage } from './files/file_storage';
import type { LogLevel, LogSink, Note } from './log';
import type { Media } from './media';
import { Position } from './position';
import type { CallToken, TokenSource } from './token';
import { fromRtpCapabilities } from './wire';

/** After a JoinRoom without a result, the pause before the next socket. */
const SOCKET_CHANGE_MS = 1_000;
/** After a refusal that gives no pause. */
const JOIN_RETRY_MS = 1_000;

/** The settings of a call. Only `room` is required. */
export interface CallOptions {
  room: string;
  /** The name that the others see; that of the token takes precedence. Without either, the user id. */
  displayName?: string;
  /**
   * A token, or a function that returns one. With a function the call can be longer than a token: it is called before
   * the first join, some time before a token ends, and before a join with a token that has ended. While it fails, it
   * is called again, with growing pauses. With a string, the application calls `Call.refreshToken` in time.
   */
  token?: TokenSource;
  /** The server's origin; by default the page's own. */
  url?: string;
  /**
   * End-to-end encryption (docs/encryption.md). `asRoom`, the default: if the policy of the room has it, and then for the
   * rest of the call, also if the policy changes. `always`: whatever the policy is.
   */
  encryption?: 'asRoom' | 'always';
  /** Where identities are remembered; by default the IndexedDB of the page. */
  identityStore?: IdentityStore;
  /** Where received files go; by default the private file system of the page's origin. */
  fileStorage?: FileStorage;
  /** Gets what happens in the call, for the logs of the application. */
  log?: LogSink;
  /**
   * Also sends what happens in the call to the server's log, from this level on: after the join, in batches
   * (docs/logs.md).
   */
  sendLogs?: LogLevel;
  /**
   * For tests: another WebRTC implementation.
   *
   * @internal
   */
  makeDevice?: () => Promise<Device>;
  /**
   * For tests: a shorter wait for the server.
   *
   * @internal
   */
  requestTimeoutMs?: number;
}

/** The place in the room that the server has given to this client. */
export interface Identity {
  readonly peerId: string;
  readonly secret: Uint8Array;
  readonly user: string;
  readonly displayName: string;
}

/** A notification of the server with its number; 0 when it has none. */
export interface Notification {
  readonly payload: Payload;
  readonly number: bigint;
}

export interface EntryEvents {
  /** A socket is connected, and `JoinRoom` follows. Returns the objects to resume. */
  onSocket(): ReturnType<Media['resumable']> | undefined;
  /**
   * The client is in the room. `early` are the notifications that arrived before the answer; they apply to
   * the state after it.
   */
  onJoined(joined: Joined, device: Device, early: readonly Notification[]): void;
  /** The media implementation for the room, once it is known whether the room is encrypted. */
  makeDevice(joined: Joined): Promise<Device>;
  /** The server has removed this client's place: the client joins as a new one. */
  onPlaceLost(reason: string): void;
  /** The client waits for an administrator, or has stopped waiting. */
  onWaiting(): void;
  /** The server refuses this client, and another try would not help. */
  onRefused(error: Error): void;
  note: Note;
}

/** How to continue after a failed `JoinRoom`. */
export type AfterFailure =
  /** No action: the next socket joins. */
  | { do: 'wait' }
  /** With a new token, if the application gives one. */
  | { do: 'replaceToken' }
  | { do: 'enterAsNew' }
  | { do: 'changeSocket' }
  | { do: 'end' }
  | { do: 'retry'; afterMs: number };

export class Entry {
  readonly #options: CallOptions;
  readonly #channel: SignalChannel;
  readonly #token: CallToken;
  readonly #events: EntryEvents;
  /** The number of joins; one that waits for a token ends if there is a later one. */
  #attempt = 0;
  /** The server has accepted this client before. */
  #wasJoined = false;
  #identity: Identity | null = null;
  #joined = false;
  #waiting = false;
  #ended = false;
  #early: Notification[] = [];
  readonly #position = new Position();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #device: Promise<Device> | null = null;

  constructor(options: CallOptions, channel: SignalChannel, token: CallToken, events: EntryEvents) {
    this.#options = options;
    this.#channel = channel;
    this.#token = token;
    this.#events = events;
  }

  get identity(): Identity | null {
    return this.#identity;
  }

  /** True from Joined until the socket is lost: the server knows this socket. */
  get joined(): boolean {
    return this.#joined;
  }

  /** An administrator has to admit this client. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** The socket is connected. */
  async enter(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#attempt += 1;
    const attempt = this.#attempt;
    try {
      const given = await this.#token.forJoin();
      if (attempt === this.#attempt && this.#channel.up && !this.#ended) await this.#enterWith(given);
    } catch (error) {
      if (attempt === this.#attempt && !this.#ended) this.#onFailed(error, false, false);
    }
  }

  async #enterWith({ token, isNew }: { token: string; isNew: boolean }): Promise<void> {
    const { room, displayName = '' } = this.#options;
    const resumable = this.#events.onSocket();
    const identity = this.#identity;
    const { resume: position } = this.#position;
    const resume = identity ? { peerId: identity.peerId, secret: identity.secret, position, ...resumable } : undefined;
    try {
      // A new page takes over from an earlier page of the same user.
      const value = { room, displayName, token, resume, takeOver: !identity };
      const answer = await this.#channel.ask({ case: 'joinRoom', value });
      if (answer.case === 'waiting') this.#setWaiting(true);
      else if (answer.case === 'joined') await this.#onJoined(answer.value);
      else throw new UnexpectedAnswer('joinRoom', answer.case);
    } catch (error) {
      this.#onFailed(error, identity !== null, isNew);
    }
  }

  /** The server has given this client another name. */
  rename(displayName: string): void {
    if (this.#identity) this.#identity = { ...this.#identity, displayName: displayName || this.#identity.user };
  }

  #setWaiting(waiting: boolean): void {
    this.#waiting = waiting;
    if (waiting) this.#events.note('waiting for an administrator');
    this.#events.onWaiting();
  }

  /** Handles the end of the wait for an administrator. False for other notifications. */
  onAdmission(payload: Payload): boolean {
    if (!this.#waiting) return false;
    if (payload.case === 'joined') {
      this.#waiting = false;
      this.#onJoined(payload.value).catch((error) => this.#onFailed(error, false, false));
      return true;
    }
    if (payload.case === 'denied') {
      this.#setWaiting(false);
      this.#events.onRefused(new NotAdmitted(payload.value.reason));
      return true;
    }
    return false;
  }

  async #onJoined(joined: Joined): Promise<void> {
    // Once: the router's capabilities are configuration, and every engine process has the same.
    this.#device ??= this.#loadDevice(joined).catch((error) => {
      this.#device = null;
      throw error;
    });
    const device = await this.#device;
    if (!this.#channel.up || this.#ended) return;
    const { peerId, resumeSecret: secret, user, displayName } = joined;
    this.#identity = { peerId, secret, user, displayName };
    this.#joined = true;
    this.#wasJoined = true;
    this.#token.onJoined(joined.tokenExpiresAt > 0n);
    this.#position.onJoined(joined);
    this.#events.note(joined.resumed ? `joined again, epoch ${joined.engineEpoch}` : `joined, epoch ${joined.engineEpoch}`);
    this.#events.onJoined(joined, device, this.#early.splice(0));
  }

  /** The next join makes another one. */
  forgetDevice(): void {
    this.#device = null;
  }

  async #loadDevice(joined: Joined): Promise<Device> {
    const { routerCapabilities } = joined;
    if (!routerCapabilities) throw new Error('Joined carries no router capabilities');
    const device = await this.#events.makeDevice(joined);
    await device.load({ routerRtpCapabilities: fromRtpCapabilities(routerCapabilities) });
    return device;
  }

  #onFailed(error: unknown, isResume: boolean, isTokenNew: boolean): void {
    this.#early = [];
    const { up } = this.#channel;
    const after = afterFailure(error, { isResume, isSocketUp: up, isTokenNew, wasJoined: this.#wasJoined });
    if (after.do === 'changeSocket' || after.do === 'retry' || after.do === 'replaceToken')
      this.#events.note(`join failed: ${error}`, 'warn', error);
    switch (after.do) {
      case 'wait':
        break;
      case 'replaceToken':
        if (this.#token.discard()) void this.enter();
        else this.#refuse(error);
        break;
      case 'enterAsNew':
        this.#identity = null;
        this.#position.forget();
        this.#events.onPlaceLost(error instanceof Error ? error.message : String(error));
        void this.enter();
        break;
      case 'changeSocket':
        // The server may have accepted a new client without this client's knowledge. This removes it at once.
        if (!isResume) this.#channel.tell({ case: 'leave', value: {} });
        this.#timer = setTimeout(() => this.#channel.reopen(), SOCKET_CHANGE_MS);
        break;
      case 'end':
        this.#refuse(error);
        break;
      case 'retry':
        this.#timer = setTimeout(() => this.#channel.up && this.enter(), after.afterMs);
        break;
    }
  }

  #refuse(error: unknown): void {
    this.#events.onRefused(error instanceof Error ? error : new Error(String(error)));
  }

  /** The socket is lost. */
  onDown(): void {
    clearTimeout(this.#timer);
    this.#joined = false;
    this.#waiting = false;
    this.#early = [];
  }

  /** Stores a notification that arrives before Joined. False when the client is in the room. */
  keepEarly(notification: Notification): boolean {
    if (!this.#joined) this.#early.push(notification);
    return !this.#joined;
  }

  /** A new socket, whose join gets a snapshot of the room. */
  rejoin(): void {
    if (this.#ended) return;
    this.#events.note('joining again');
    this.#position.forget();
    clearTimeout(this.#timer);
    this.#channel.reopen();
  }

  /** True when the notification is the next one. After a gap, the client joins again for a snapshot. */
  isNext({ number }: Notification): boolean {
    const verdict = this.#position.take(number);
    if (verdict === 'gap') {
      this.#events.note(`notification ${number} without the one before it: joining again`, 'warn');
      this.#position.forget();
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#channel.reopen(), SOCKET_CHANGE_MS);
    }
    return verdict === 'apply';
  }

  /** The call has ended. */
  end(): void {
    this.#ended = true;
    this.#joined = false;
    this.#token.end();
    clearTimeout(this.#timer);
  }
}

export interface FailedJoin {
  /** It named an earlier place in the room. */
  isResume: boolean;
  isSocketUp: boolean;
  /** The application gave the token for this join. */
  isTokenNew: boolean;
  /** The server has accepted this client before. */
  wasJoined: boolean;
}

export function afterFailure(error: unknown, { isResume, isSocketUp, isTokenNew, wasJoined }: FailedJoin): AfterFailure {
  if (error instanceof SocketLost && !isSocketUp) return { do: 'wait' };
  const code = error instanceof SignalError ? error.errorCode : null;
  if (isResume && code === ErrorCode.RESUME_SECRET) return { do: 'enterAsNew' };
  if (isTokenOld(error) && !isTokenNew) return { do: 'replaceToken' };
  // Before the first join a user waits for the answer.
  if (error instanceof TokenUnavailable && !wasJoined) return { do: 'end' };
  // The socket is connected, but the answer came too late, or belongs to an attempt that was given up. For
  // the server this socket is in the room, and it refuses every further JoinRoom on it. A new socket has no
  // such state.
  if (error instanceof SocketLost || code === ErrorCode.WRONG_STATE) return { do: 'changeSocket' };
  if (isFinal(error)) return { do: 'end' };
  return { do: 'retry', afterMs: retryAfterMs(error) || JOIN_RETRY_MS };
}
