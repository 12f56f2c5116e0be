// The running parts of a call, connected: `entry.ts` joins, `notifications.ts` updates the roster, `sync.ts`
// compares the wanted state with the existing objects, `lifecycle.ts` and `work.ts` act on the differences,
// and `view.ts` shows the result.

import { type Joined, PresenceState } from '../gen/signal_pb';
import { accessAfter, accessOf, initialAccess, permissionsOf, policyOf } from './access';
import { Activity } from './activity';
import { type Payload, SignalChannel } from './channel';
import { Conversation } from './conversation/conversation';
import { ROOM_TOPIC } from './conversation/message_link';
import { CallData, READY_TOPIC } from './data';
import { CallEncryption } from './e2ee/call_encryption';
import { type CallOptions, Entry, type Notification } from './entry';
import { Evicted, messageOf } from './errors';
import type { FileTransfer } from './files/types';
import { History } from './history';
import { type LifecycleEvents, MediaLifecycle } from './lifecycle';
import { Log, type LogContext, type LogSink } from './log';
import { LogUploader } from './log_sender';
import type { Delivery, Media } from './media';
import { type CallNotice, noticeText } from './notice';
import { apply, type Effect } from './notifications';
import { QualityReporter } from './quality/reporter';
import { measuredOf, QualitySampler } from './quality/sampler';
import { consequenceOf } from './refusals';
import { Room } from './room';
import { emptyRoster, hasVideo, rosterAfter, withoutSources } from './roster';
import { eventDue, next, type SessionEvent, type SessionState } from './session';
import { shared } from './share';
import { Speaking } from './speaking';
import { differences } from './sync';
import { CallToken } from './token';
import { type CallEvents, type CallView, STARVED_AFTER_MS, viewOf } from './view';

/** What the others see of this client, as far as the application has set it. */
export interface OwnMetadata {
  displayName?: string;
  metadata?: string;
}

export class CallCore {
  readonly log: Log;
  readonly #logs: LogUploader | null;
  readonly history: History;
  readonly channel: SignalChannel;
  readonly entry: Entry;
  readonly token: CallToken;
  readonly room = new Room();
  readonly encryption: CallEncryption;
  readonly data: CallData;
  readonly conversation: Conversation;
  readonly #options: CallOptions;
  readonly #events: CallEvents;
  readonly lifecycle: MediaLifecycle;
  readonly #speaking = new Speaking({
    onChange: () => this.#publish(),
    microphone: () => this.media?.outgoing.get('microphone')?.producer,
    onOwnVoice: () => this.reportActivity(),
    ownId: () => this.entry.identity?.peerId ?? '',
  });
  readonly #quality = new QualitySampler(
    () => this.media && measuredOf(this.media),
    () => this.#publish(),
    (round) => this.#reporter.add(round),
  );
  readonly #reporter = new QualityReporter({
    send: (value) => this.channel.request({ case: 'qualityReport', value }, 'ack'),
    received: () => this.media?.getStats('recv') ?? null,
  });
  readonly #activity = new Activity(() => this.channel.tell({ case: 'setPresence', value: { state: PresenceState.ACTIVE } }));
  /** By id; immutable values. */
  readonly fileTransfers = new Map<string, FileTransfer>();
  /** What the server has accepted. It belongs to the place in the room, and is lost with it. */
  #metadata: OwnMetadata = {};
  #session: SessionState = 'Handshaking';
  #failure: Error | null = null;
  #view: CallView | null = null;
  #starvedTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: CallOptions, events: CallEvents) {
    this.#options = options;
    this.#events = events;
    const { log, sendLogs, url } = options;
    this.#logs = sendLogs ? new LogUploader(url, sendLogs, () => this.entry.identity) : null;
    const sink: LogSink | undefined = this.#logs
      ? (entry) => {
          this.#logs?.add(entry);
          log?.(entry);
        }
      : log;
    this.log = new Log(sink, () => this.#logContext());
    this.history = new History(this.log.write);
    const { note } = this.history;
    const channelEvents = {
      onUp: () => void this.entry.enter(),
      onDown: (reason: string) => this.#onDown(reason),
      onNotification: (payload: Payload, number: bigint) => this.#onNotification({ payload, number }),
      onMalformed: (error: unknown) => note(`skipped a malformed notification: ${error}`, 'warn', error),
    };
    this.channel = new SignalChannel(options.url, channelEvents, options.requestTimeoutMs);
    const send = (to: readonly string[], topic: string, body: Uint8Array) =>
      this.channel.request({ case: 'sendMessage', value: { to: [...to], topic, body } }, 'ack');
    this.encryption = new CallEncryption(options, {
      send,
      onChange: () => this.#publish(),
      onKey: (peerId) => this.conversation.onKey(peerId),
      onNotice: (notice) => this.#notify(notice),
      note,
    });
    this.lifecycle = new MediaLifecycle(this.channel.request, this.#lifecycleEvents());
    const dataEvents = {
      produce: (label: string, to: readonly string[], delivery: Delivery) => this.lifecycle.produceData(label, to, delivery),
      cipher: () => this.encryption.dataCipher,
      mayPublishData: () => this.room.access.permissions.publishData,
      onTransfer: (id: string, transfer: FileTransfer | null) => {
        if (transfer) this.fileTransfers.set(id, transfer);
        else this.fileTransfers.delete(id);
        this.#publish();
      },
      onData: (from: string, label: string, data: string | ArrayBuffer) => events.onData?.(from, label, data),
      tell: (to: string, body: Uint8Array) =>
        this.channel.tell({ case: 'sendMessage', value: { to: [to], topic: READY_TOPIC, body } }),
      note,
    };
    this.data = new CallData(dataEvents, options.fileStorage);
    this.conversation = new Conversation({
      send,
      cipher: () => this.encryption.dataCipher,
      mayPublishData: () => this.room.access.permissions.publishData,
      self: () => ({ peerId: this.entry.identity?.peerId ?? '', name: this.#displayName }),
      onChange: () => this.#publish(),
      onMessage: (message) => events.onChatMessage?.(message),
      onReaction: (reaction) => events.onReaction?.(reaction),
      note,
    });
    this.token = new CallToken(options.token, { refresh: (token) => this.#refreshToken(token), note });
    this.entry = new Entry(options, this.channel, this.token, {
      onSocket: () => this.lifecycle.onSocket(),
      onJoined: (joined, device, early) => this.#onJoined(joined, this.lifecycle.onJoined(joined, device), early),
      onPlaceLost: (reason) => {
        this.#reporter.begin();
        this.lifecycle.drop(reason);
      },
      makeDevice: async (joined) => {
        this.encryption.follow(policyOf(joined.policy));
        return this.encryption.makeDevice();
      },
      onWaiting: () => this.#publish(),
      onRefused: (error) => this.#fail(error),
      note,
    });
  }

  get #displayName(): string {
    return this.entry.identity?.displayName || this.#options.displayName || '';
  }

  /** What is known so far. */
  /** Sends the log entries that wait, while the place in the room is still there. */
  flushLogs(): void {
    this.#logs?.flush();
  }

  #logContext(): LogContext {
    const { identity } = this.entry;
    return { roomId: this.#options.room, ...(identity && { userId: identity.user, peerId: identity.peerId }) };
  }

  #lifecycleEvents(): LifecycleEvents {
    return {
      onChange: () => this.changed(),
      onEngineLost: () => {
        this.room.roster = withoutSources(this.room.roster);
        this.#speaking.onReportsLost();
      },
      onDropped: () => {
        this.room.retryChannels();
        this.data.follow(null, this.room.roster);
        this.#onPathLost('newTransports');
      },
      onRejoin: () => this.entry.rejoin(),
      onRefused: (media, action, error) => {
        const consequence = consequenceOf(action, error, this.room.roster);
        const notice = consequence && this.room.accept(consequence, media);
        if (notice) this.#notify(notice);
        return consequence !== null;
      },
      onSourceEnded: (source) => void this.#onSourceEnded(source),
      onData: (...message) => this.data.receive(...message),
      onReceiving: (...channel) => this.data.onReceiving(...channel),
      onNotice: (notice) => this.#notify(notice),
      note: this.history.note,
      isJoined: () => this.entry.joined,
      protection: () => this.encryption.protection,
    };
  }

  async #onSourceEnded(source: string): Promise<void> {
    const stopped = this.room.local.get(source)?.track;
    const other = await this.#events.onSourceStopped?.(source).catch(() => null);
    // The application may have set another track itself.
    const local = this.room.local.get(source);
    if (!local || local.track !== stopped) return;
    if (!other) this.#notify({ code: 'SOURCE_STOPPED', source });
    this.room.setSource(source, other ?? null, local.paused);
    this.changed();
  }

  async #refreshToken(token: string): Promise<void> {
    if (!this.entry.joined) return;
    const { permissions } = await this.channel.request({ case: 'refreshToken', value: { token } }, 'tokenRefreshed');
    const change = { on: 'permissions', permissions: permissionsOf(permissions) } as const;
    this.room.access = accessAfter(this.room.access, change);
    this.changed();
  }

  async setMetadata(change: OwnMetadata): Promise<void> {
    await this.channel.request({ case: 'setMetadata', value: change }, 'ack');
    this.#metadata = { ...this.#metadata, ...change };
    if (change.displayName !== undefined) this.entry.rename(change.displayName);
    this.#publish();
  }

  get session(): SessionState {
    return this.#session;
  }

  /** The last measurements of the call, for the server; undefined before the join. */
  get qualityReport() {
    return this.#reporter.report ?? undefined;
  }

  get media(): Media | null {
    return this.lifecycle.media;
  }

  /** The user did something. Cheap: call it for every event of pointer and keyboard. */
  reportActivity(): void {
    if (this.entry.joined) this.#activity.touch(Date.now());
  }

  start(): void {
    this.#reporter.begin();
    this.#publish();
    this.channel.open();
    this.#speaking.start();
    this.#quality.start();
  }

  #onJoined(joined: Joined, kept: Media | null, early: readonly Notification[]): void {
    const { room } = this;
    room.roster = rosterAfter(room.roster, joined, kept?.received ?? new Set());
    room.access = accessOf(joined);
    this.#activity.reset();
    const { peerId, user } = joined;
    this.#followPolicy();
    this.encryption.enter(this.#options.room, peerId, user);
    this.encryption.setRoster(room.roster);
    if (!joined.resumed && Object.keys(this.#metadata).length > 0) {
      this.setMetadata(this.#metadata).catch((error) =>
        this.history.note(`metadata was not set again: ${messageOf(error)}`, 'warn', error),
      );
    }
    this.conversation.onJoined(joined.replayed);
    this.#reporter.onJoined(hasVideo(room.roster));
    this.dispatch('AUTH_VALID');
    for (const notification of early) if (this.entry.isNext(notification)) this.#apply(notification.payload);
    for (const producerId of joined.mutedProducers) this.#onMuted(producerId, true);
    this.changed();
    this.data.restore();
  }

  #onDown(reason: string): void {
    this.entry.onDown();
    this.#speaking.onReportsLost();
    this.history.note(`socket lost: ${reason}`, 'warn');
    this.#publish();
  }

  #onNotification(notification: Notification): void {
    if (this.#session === 'Ended' || this.entry.onAdmission(notification.payload) || this.entry.keepEarly(notification)) return;
    if (!this.entry.isNext(notification)) return;
    // Speakers change several times a second, and a change needs no action.
    if (this.#apply(notification.payload)?.on !== 'speakers') this.changed();
  }

  #apply(payload: Payload): Effect | null {
    const { roster, effect } = apply(this.room.roster, payload);
    this.room.roster = roster;
    switch (effect?.on) {
      case 'speakers':
        this.#speaking.onReport(effect.volumes);
        break;
      case 'consumerClosed': {
        const producerId = this.media?.producerIdOf(effect.consumerId);
        if (producerId) this.room.removeSource(producerId);
        break;
      }
      case 'dataConsumerClosed': {
        const dataProducerId = this.media?.dataProducerIdOf(effect.dataConsumerId);
        if (dataProducerId) this.room.removeChannel(dataProducerId);
        break;
      }
      case 'dataProducerClosed':
        this.media?.forgetDataProducer(effect.dataProducerId);
        break;
      case 'announced':
        this.room.unplayable.delete(effect.producerId);
        break;
      case 'producerClosed': {
        const key = this.media?.keyOf(effect.producerId);
        if (key) this.media?.forgetProducer(key);
        break;
      }
      case 'muted':
        this.#onMuted(effect.producerId, effect.muted);
        break;
      case 'access':
        this.room.access = accessAfter(this.room.access, effect.change);
        this.#followPolicy();
        break;
      case 'message':
        this.encryption.setRoster(this.room.roster);
        this.conversation.setRoster(this.room.roster);
        if (effect.topic === READY_TOPIC) this.data.onReady(effect.from, effect.body);
        else if (effect.topic === ROOM_TOPIC) this.conversation.receive(effect.from, effect.body);
        else if (!this.encryption.onMessage(effect.from, effect.topic, effect.body)) {
          this.history.note(`skipped a message of the topic ${effect.topic}`);
        }
        break;
      case 'evicted':
        this.#fail(new Evicted(effect.reason));
        break;
      case 'note':
        this.history.note(effect.what);
        break;
      case 'media':
        this.lifecycle.apply(effect.change);
        if (effect.change.on === 'layersChanged') this.#publishOnceStarved();
        break;
    }
    return effect;
  }

  /** An administrator has switched encryption on: no clear frame is sent from now on, and media starts again. */
  #followPolicy(): void {
    try {
      if (!this.encryption.follow(this.room.access.policy)) return;
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(messageOf(error)));
      return;
    }
    this.lifecycle.drop('end-to-end encryption begins');
    this.entry.forgetDevice();
    this.channel.reopen();
  }

  /** An administrator muted a source of this client, or ended the mute. */
  #onMuted(producerId: string, muted: boolean): void {
    const key = this.media?.keyOf(producerId);
    if (!key || !this.room.local.has(key)) return;
    if (muted) this.room.setPaused(key, true);
    this.#notify({ code: muted ? 'MUTED' : 'MAY_UNMUTE', source: key });
  }

  #notify(notice: CallNotice): void {
    this.#events.onNotice(noticeText(notice), notice);
  }

  #publishOnceStarved(): void {
    clearTimeout(this.#starvedTimer);
    // A timer may fire up to a millisecond before the clock has moved that far.
    this.#starvedTimer = setTimeout(() => this.#publish(), STARVED_AFTER_MS + 2);
  }

  /** The state has changed: act on the differences, update the session state, show the result. */
  changed(): void {
    this.encryption.setRoster(this.room.roster);
    this.conversation.setRoster(this.room.roster);
    this.#sync();
    const { media } = this;
    this.data.follow(media, this.room.roster);
    if (media) {
      this.lifecycle.settle();
      const isBack = this.#session !== 'Reconnecting' || this.room.isCarried(media);
      const event = eventDue(this.#session, media, isBack && this.room.isSending(media));
      if (event === 'ICE_DISCONNECT') this.#onPathLost('iceRestart');
      else if (event) this.dispatch(event);
      this.#noteRestored(media);
    }
    this.#reporter.onRoom(hasVideo(this.room.roster));
    this.#publish();
  }

  #sync(): void {
    if (!this.entry.joined || !this.lifecycle.hasEngine) return;
    if (!this.media) {
      void this.lifecycle.open();
      return;
    }
    this.lifecycle.run(differences(this.room, this.media));
    this.room.prune();
  }

  #noteRestored(media: Media): void {
    if (this.#session !== 'Connected' || !this.lifecycle.recovery.now) return;
    const isSettled = media.pathSettled && media.restartsDue.length === 0;
    if (isSettled && this.room.isCarried(media)) this.lifecycle.onRestored();
  }

  #onPathLost(step: 'iceRestart' | 'newTransports'): void {
    if (this.#session === 'Connected' || this.#session === 'Reconnecting') this.lifecycle.recovery.onLost(step);
    this.dispatch('ICE_DISCONNECT');
  }

  dispatch(event: SessionEvent): void {
    const state = next(this.#session, event);
    if (state === null) return;
    this.#session = state;
    this.history.note(`${event}: ${state}`);
    if (state === 'Ended') {
      clearTimeout(this.#starvedTimer);
      this.entry.end();
      this.data.end();
      this.encryption.end();
      this.conversation.end();
      this.lifecycle.end();
      this.#speaking.stop();
      this.#quality.stop();
      this.#reporter.stop();
      this.room.roster = emptyRoster;
      this.room.access = initialAccess;
    }
    this.#publish();
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.history.note(`ended: ${error.message}`, 'error', error);
    this.dispatch('CLIENT_DISCONNECT');
    this.channel.close();
  }

  #publish(): void {
    const { identity, joined } = this.entry;
    const { access, roster, unplayable, local } = this.room;
    const shown = {
      session: this.#session,
      online: joined,
      waiting: this.entry.waiting,
      room: this.#options.room,
      peerId: identity?.peerId ?? '',
      displayName: this.#displayName,
      access,
      roster,
      local,
      unplayable,
      media: this.media,
      speaking: this.#speaking.now,
      videoReception: this.room.videoReception,
      recovery: this.lifecycle.recovery.now,
      quality: this.#quality.now,
      fileTransfers: this.fileTransfers,
      ...this.conversation.view,
      encrypted: this.encryption.isOn,
      encryptionOf: (peerId: string) => this.encryption.stateOf(peerId),
      failure: this.#failure,
    };
    this.#view = shared(this.#view, viewOf(shown, Date.now()));
    this.#events.onView(this.#view);
  }
}
