// A call: one session in one room, from join to leave, over any number of sockets and engines. This is the
// class that applications use; `core.ts` does the work.

import { RoomAdmin } from './admin';
import { CallChat } from './call_chat';
import { CallFiles } from './call_files';
import { type CallStore, CallStoreFeed, createCallStore } from './call_store';
import { CallCore, type OwnMetadata } from './core';
import type { DataChannelOptions } from './data';
import type { DataSender } from './data_sender';
import type { Counts } from './e2ee/frame_crypto';
import type { CallOptions } from './entry';
import { Faults } from './faults';
import type { HistoryEntry } from './history';
import type { Layers } from './layers';
import { sendLeaveBeacon } from './leave_beacon';
import { type Presence, presenceState } from './roster';
import type { SessionState } from './session';
import type { Direction, Subscribers, VideoReception } from './sources';
import type { CallEvents, CallView } from './view';

/** How long `leave` waits for the server's answer. */
const LEAVE_MS = 500;
/** While a window is resized, every frame has a new size; only the last one counts. */
const DISPLAY_DEBOUNCE_MS = 250;

/** One session in one room, from join to leave, over any number of sockets and engines. */
export class Call {
  /** The requests of an administrator of the room. */
  readonly admin: RoomAdmin;
  /** Text messages. */
  readonly chat: CallChat;
  /** Sends and receives files. */
  readonly files: CallFiles;
  /** For tests. */
  readonly faults: Faults;
  /** The state of the call. It is up to date before `CallEvents.onView` is called. */
  readonly store: CallStore = createCallStore();
  readonly #url: string | undefined;
  readonly #core: CallCore;
  #displayTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: CallOptions, events: CallEvents) {
    this.#url = options.url;
    const feed = new CallStoreFeed(this.store);
    const onView = (view: CallView) => {
      feed.show(view);
      events.onView(view);
    };
    this.#core = new CallCore(options, {
      onView,
      onNotice: (message, notice) => events.onNotice(message, notice),
      onData: (from, label, data) => events.onData?.(from, label, data),
      onSourceStopped: async (source) => (await events.onSourceStopped?.(source)) ?? null,
      onChatMessage: (message) => events.onChatMessage?.(message),
      onReaction: (reaction) => events.onReaction?.(reaction),
    });
    this.chat = new CallChat(this.#core.conversation);
    this.files = new CallFiles(this.#core.data);
    this.faults = new Faults(this.#core.channel, this.#core.lifecycle);
    this.admin = new RoomAdmin(this.#core.channel.request);
  }

  get session(): SessionState {
    return this.#core.session;
  }

  /** For debugging and tests. */
  get history(): readonly HistoryEntry[] {
    return this.#core.history.entries;
  }

  join(): void {
    this.#core.start();
  }

  /** Leaves; the call cannot be used again. The tracks still belong to the caller. */
  async leave(): Promise<void> {
    const { session, entry, channel } = this.#core;
    if (session === 'Ended') return;
    this.#core.flushLogs();
    const leave = { case: 'leave', value: { quality: this.#core.qualityReport } } as const;
    const left = entry.joined ? channel.request(leave, 'ack') : Promise.resolve();
    this.#end();
    await Promise.race([left.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, LEAVE_MS))]);
    channel.close();
  }

  /**
   * The page is closing: there is no time to wait for an answer. The last message on a socket is lost
   * sometimes, so a beacon repeats it.
   */
  abandon(): void {
    const { session, entry, channel } = this.#core;
    this.#core.flushLogs();
    const quality = this.#core.qualityReport;
    channel.tell({ case: 'leave', value: { quality } });
    if (entry.identity && session !== 'Ended') {
      const { peerId, secret } = entry.identity;
      sendLeaveBeacon(this.#url, { peerId, secret, quality });
    }
    this.#end();
    channel.close();
  }

  #end(): void {
    clearTimeout(this.#displayTimer);
    this.#core.dispatch('CLIENT_DISCONNECT');
  }

  /**
   * The user did something in the page, or came back to it. May be called for every event of pointer and
   * keyboard: the server gets a report every half minute. Without one for some minutes, the user is shown as
   * idle. Speech is reported without this.
   */
  reportActivity(): void {
    this.#core.reportActivity();
  }

  /**
   * Reports how active the user is, if the application has better information: `away` and `idle` apply until the next
   * report. Rejects with `LIMIT` if it changes too often.
   */
  async setPresence(presence: Presence): Promise<void> {
    await this.#core.channel.request({ case: 'setPresence', value: { state: presenceState(presence) } }, 'ack');
  }

  /**
   * Changes what the others see of this client; what is absent stays as it is. An empty name means the user id;
   * `metadata` is for the application, at most 1,024 bytes. The token needs the permission `canUpdateOwnMetadata`;
   * otherwise this rejects with `TOKEN_PERMISSION`. After a return as a new peer it is set again.
   */
  setMetadata(change: OwnMetadata): Promise<void> {
    return this.#core.setMetadata(change);
  }

  /**
   * Replaces the token: before it ends, if `CallOptions.token` is a string, or to change what this client may do.
   * Sources that the new token does not permit end. Rejects with a `SignalError` if the server refuses it; then the
   * former token stays.
   */
  refreshToken(token: string): Promise<void> {
    return this.#core.token.replace(token);
  }

  /**
   * Starts to send a track under a name, or ends the source with that name. A source that is sent already gets the new
   * track, for example that of another device, without a negotiation.
   */
  setSource(source: string, track: MediaStreamTrack | null, paused = false): void {
    this.#core.room.setSource(source, track, paused);
    this.#core.changed();
  }

  setPaused(source: string, paused: boolean): void {
    if (this.#core.room.setPaused(source, paused)) this.#core.changed();
  }

  /**
   * Names the users that may receive a source of this client, or everyone again; at most 256 users for all sources
   * together. May be called before the source exists, and applies until it is changed. A source that begins with a
   * list of users sends nothing before the server has the list. If the server does not accept the list, the source
   * ends with a notice.
   */
  setSubscribers(source: string, subscribers: Subscribers): void {
    this.#core.room.subscribers.set(source, subscribers === 'everyone' ? subscribers : [...subscribers]);
    this.#core.changed();
  }

  /**
   * Opens a data channel to the named peers, or to all others of the room. They get its messages in `CallEvents.onData`,
   * from the moment at which they receive the channel. It opens again with new transports; what was on its way then is
   * lost. Throws a `WebRTCError`: `PERMISSION_DENIED` without the permission `canPublishData`.
   */
  openChannel(label: string, options: DataChannelOptions = {}): DataSender {
    return this.#core.data.openChannel(label, options);
  }

  /**
   * Raises the hand of this client: it is in `CallView.hands` of all, also of those who join later. Throws a `WebRTCError`:
   * `PERMISSION_DENIED` without the permission `canPublishData`.
   */
  raiseHand(): void {
    this.#core.conversation.setHand(true);
  }

  lowerHand(): void {
    this.#core.conversation.setHand(false);
  }

  /**
   * Shows an emoji to all for some seconds (`CallView.reactions`, `CallEvents.onReaction`). Throws a `WebRTCError`:
   * `BAD_REQUEST` if it is not one emoji, `PERMISSION_DENIED` without the permission `canPublishData`.
   */
  react(emoji: string): void {
    this.#core.conversation.react(emoji);
  }

  /**
   * The height in device pixels at which a source of another peer is shown. This client requests no more than
   * that needs. 0: it is not shown, and its video is not sent to this client until it is.
   */
  setDisplayHeight(sourceId: string, lines: number): void {
    this.#core.room.lines.set(sourceId, lines);
    clearTimeout(this.#displayTimer);
    this.#displayTimer = setTimeout(() => this.#core.changed(), DISPLAY_DEBOUNCE_MS);
  }

  /** Pauses the video of all others, or does not receive it, for example while the page is hidden or for a call with audio only. */
  setVideoReception(reception: VideoReception): void {
    this.#core.room.videoReception = reception;
    this.#core.changed();
  }

  /**
   * The layers of another peer's source to request, whatever its size on screen; null returns to the size on
   * screen.
   */
  pinLayers(sourceId: string, layers: Layers | null): void {
    this.#core.room.pinLayers(sourceId, layers);
    this.#core.changed();
  }

  /**
   * The layers with which the server sends a source, as it reports them; null: the server sends none;
   * undefined: not reported yet.
   */
  layersOf(sourceId: string): Layers | null | undefined {
    return this.#core.media?.layersOf(sourceId);
  }

  /**
   * The user has compared the safety number of a peer (`PeerView.encryption`) with the one that the peer shows, over another
   * connection than this call's server. The identity counts as verified from now on.
   */
  confirmSafetyNumber(peerId: string): void {
    this.#core.encryption.confirm(peerId);
  }

  /** How many frames of a peer were decrypted, and how many were refused and why; null before the first. */
  encryptionCounts(peerId: string): Counts | null {
    return this.#core.encryption.countsOf(peerId);
  }

  /** WebRTC statistics of a transport; null while there is none. */
  async getStats(direction: Direction): Promise<RTCStatsReport | null> {
    return (await this.#core.media?.getStats(direction)) ?? null;
  }
}
