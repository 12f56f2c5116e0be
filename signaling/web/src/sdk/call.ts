// A call: one session in one room, from join to leave, over any number of sockets and engines.
//
// It works by comparison, not by script. What is wanted (sources this client sends, sources the roster lists) is held against
// what there is (producers, consumers), and `#sync` starts a piece of work for every difference. Joining, a new producer, a returned socket and a
// restarted engine all end in the same place, so none of them needs a path of its own.

import { Device } from 'mediasoup-client';
import { ErrorCode, type IceServer, type Joined } from '../gen/signal_pb';
import { type Payload, SignalChannel } from './channel';
import { isFinal, SignalError, SocketLost } from './errors';
import { defaultPolicy, type EncodingPolicy, spatialLayerFor } from './layers';
import { sendLeaveBeacon } from './leave_beacon';
import { type Backup, type Direction, type Incoming, type Layers, type LocalSource, Media } from './media';
import * as roster from './roster';
import { next, type SessionEvent, type SessionState } from './session';
import { Speaking } from './speaking';
import { fromRtpCapabilities } from './wire';

/** First and longest wait before a failed piece of work is tried again. */
const RETRY_MIN_MS = 300;
const RETRY_MAX_MS = 5_000;
/** After so many failures the user is told once; it is tried further on. */
const FAILURES_BEFORE_NOTICE = 3;
/** How long `leave` waits for the server to have heard of it. */
const GOODBYE_MS = 500;
/** After a JoinRoom that got stuck, the pause before the next socket. */
const SOCKET_CHANGE_MS = 1_000;
/** A window that is being dragged has a new size with every frame; the last of them counts. */
const DISPLAY_DEBOUNCE_MS = 250;
/** A video may be without a picture for so long, between two layers, before it is said that bandwidth is missing. */
const STARVED_AFTER_MS = 1_500;
/** Entries kept in `history`; older ones go. */
const HISTORY_LEN_MAX = 500;

export interface CallOptions {
  room: string;
  displayName: string;
  token?: string;
  /** The server's origin; the page's own when absent. */
  url?: string;
  /** For tests: another WebRTC implementation. */
  makeDevice?: () => Promise<Device>;
  /** For tests: less patience with the server. */
  requestTimeoutMs?: number;
}

/** Something another peer sends, with its track once it is received. */
export interface SourceView extends roster.RemoteSource {
  track: MediaStreamTrack | null;
  /** There will be no track: this browser cannot play it, or may not receive it. */
  unplayable: boolean;
  /** The server sends nothing of it, for want of bandwidth. */
  starved: boolean;
}

export interface PeerView {
  id: string;
  user: string;
  name: string;
  away: boolean;
  sources: readonly SourceView[];
}

/** What a user interface needs to know, as one immutable value; a new one after every change. */
export interface CallView {
  session: SessionState;
  /** The signaling connection stands. Media does not need it. */
  online: boolean;
  room: string;
  peerId: string;
  displayName: string;
  peers: readonly PeerView[];
  local: ReadonlyMap<string, LocalSource>;
  /** Peer ids, this client's own among them. */
  speaking: ReadonlySet<string>;
  /** Why the session ended, if not by the user's will. */
  failure: Error | null;
}

export interface CallEvents {
  onView(view: CallView): void;
  /** Something the user should read once. */
  onNotice(message: string): void;
}

/** For debugging and tests: what happened, when (milliseconds since the epoch). */
export interface HistoryEntry {
  at: number;
  what: string;
}

export class Call {
  readonly history: HistoryEntry[] = [];

  readonly #options: CallOptions;
  readonly #events: CallEvents;
  readonly #channel: SignalChannel;
  readonly #speaking: Speaking;

  #session: SessionState = 'Handshaking';
  #failure: Error | null = null;
  #identity: { peerId: string; secret: Uint8Array; displayName: string } | null = null;

  /** True from Joined until the socket is lost: the server knows this socket. */
  #joined = false;
  /** Notifications that overtook Joined; they speak of the state after it. */
  #early: Payload[] = [];
  #joinTimer: ReturnType<typeof setTimeout> | undefined;

  #device: Promise<Device> | null = null;
  /** The engine's present life; empty while there is none. */
  #epoch = '';
  #media: Media | null = null;
  /** The attempt at making transports that counts; one that was overtaken finds another here, or none. */
  #opening: object | null = null;
  /** Attempts in a row that gave no transports, or none that could be used. */
  #openFailures = 0;

  #roster: roster.Roster = roster.emptyRoster;
  readonly #local = new Map<string, LocalSource>();
  /** Producers this client cannot play or may not receive; no use in asking again. */
  readonly #unplayable = new Set<string>();
  /** How this client is to encode, as the server wishes. */
  #policy: EncodingPolicy = defaultPolicy;
  #iceServers: IceServer[] = [];
  /** By producer id, how many lines of the screen it is shown on. */
  readonly #lines = new Map<string, number>();
  /** By producer id, layers asked for by hand, whatever the size on screen. */
  readonly #pinned = new Map<string, Layers>();
  #displayTimer: ReturnType<typeof setTimeout> | undefined;
  #starvedTimer: ReturnType<typeof setTimeout> | undefined;
  /** The user knows that the token does not let them receive: it is the same for everything others send. */
  #toldNotToReceive = false;

  constructor(options: CallOptions, events: CallEvents) {
    this.#options = options;
    this.#events = events;
    this.#channel = new SignalChannel(
      options.url,
      {
        onUp: () => void this.#enter(),
        onDown: (reason) => this.#onDown(reason),
        onNotification: (payload) => this.#onNotification(payload),
        onMalformed: (error) => this.#note(`skipped a malformed notification: ${error}`),
      },
      options.requestTimeoutMs,
    );
    this.#speaking = new Speaking(() => this.#publish());
  }

  get session(): SessionState {
    return this.#session;
  }

  join(): void {
    this.#publish();
    this.#channel.open();
    this.#speaking.start(
      () => this.#media,
      () => this.#identity?.peerId ?? '',
    );
  }

  /** Leaves for good. The tracks stay the caller's. */
  async leave(): Promise<void> {
    if (this.#session === 'Ended') return;
    const goodbye = this.#joined ? this.#channel.request({ case: 'leave', value: {} }, 'ack') : Promise.resolve();
    this.#dispatch('CLIENT_DISCONNECT');
    await Promise.race([goodbye.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, GOODBYE_MS))]);
    this.#channel.close();
  }

  /** The page is going away: there is no time to wait for an answer. What it says last on its socket is lost sometimes, so it is said twice. */
  abandon(): void {
    this.#channel.tell({ case: 'leave', value: {} });
    if (this.#identity && !this.#ended) sendLeaveBeacon(this.#options.url, this.#identity.peerId, this.#identity.secret);
    this.#dispatch('CLIENT_DISCONNECT');
    this.#channel.close();
  }

  /** Begins to send a track under a name, or ends the source with that name. */
  setSource(source: string, track: MediaStreamTrack | null, paused = false): void {
    if (track) this.#local.set(source, { source, kind: track.kind === 'audio' ? 'audio' : 'video', track, paused });
    else this.#local.delete(source);
    this.#changed();
  }

  setPaused(source: string, paused: boolean): void {
    const local = this.#local.get(source);
    if (!local || local.paused === paused) return;
    this.#local.set(source, { ...local, paused });
    this.#changed();
  }

  /** How many lines of the screen a source of another peer is shown on (device pixels); no more than that is asked of the server. */
  setDisplayHeight(sourceId: string, lines: number): void {
    this.#lines.set(sourceId, lines);
    clearTimeout(this.#displayTimer);
    this.#displayTimer = setTimeout(() => this.#changed(), DISPLAY_DEBOUNCE_MS);
  }

  /** The layers of a source of another peer to ask for, whatever its size on screen; null goes back to that. */
  pinLayers(sourceId: string, layers: Layers | null): void {
    if (layers) this.#pinned.set(sourceId, layers);
    else this.#pinned.delete(sourceId);
    this.#changed();
  }

  /** The layers a source is received with, as the server says; null is nothing, undefined that it has not said. */
  layersOf(sourceId: string): Layers | null | undefined {
    const incoming = this.#media?.incoming.get(sourceId);
    return incoming && this.#media?.sent.get(incoming.consumer.id)?.layers;
  }

  /** WebRTC statistics of a transport; null while there is none. */
  async getStats(direction: Direction): Promise<RTCStatsReport | null> {
    return (await this.#media?.getStats(direction)) ?? null;
  }

  // -------------------------------------------------------------------------------------------------------------------------------
  // Entering the room

  async #enter(): Promise<void> {
    clearTimeout(this.#joinTimer);
    if (this.#session === 'Ended') return;
    const { room, displayName, token = '' } = this.#options;
    // What a Resume does not list, the server closes.
    if (this.#media?.broken) this.#dropMedia('the socket was lost before its transports were connected');
    const identity = this.#identity;
    const resume = identity && { peerId: identity.peerId, secret: identity.secret, ...this.#media?.held() };
    try {
      const joined = await this.#channel.request(
        // What an earlier page of this user left behind makes way for this one.
        { case: 'joinRoom', value: { room, displayName, token, resume: resume ?? undefined, takeOver: !identity } },
        'joined',
      );
      await this.#onJoined(joined);
    } catch (error) {
      this.#early = [];
      if (error instanceof SocketLost && !this.#channel.up) return;
      // Our place is somebody else's, or was given up: enter as somebody new.
      if (identity && error instanceof SignalError && error.code === ErrorCode.RESUME_SECRET) {
        this.#identity = null;
        this.#dropMedia(error.message);
        void this.#enter();
        return;
      }
      // The socket stands, but the answer did not come in time, or came to an attempt that had been given up: to the server this socket is in the
      // room, and it will refuse every further JoinRoom on it. A new one starts clean.
      if (error instanceof SocketLost || (error instanceof SignalError && error.code === ErrorCode.ALREADY_JOINED)) {
        this.#note(`join failed: ${error}`);
        // Whom the server let in without our knowing is nobody, and need not be waited for.
        if (!identity) this.#channel.tell({ case: 'leave', value: {} });
        this.#joinTimer = setTimeout(() => this.#channel.reopen(), SOCKET_CHANGE_MS);
        return;
      }
      if (isFinal(error)) {
        this.#fail(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      this.#note(`join failed: ${error}`);
      const after = retryAfterMs(error) || 1_000;
      this.#joinTimer = setTimeout(() => this.#channel.up && this.#enter(), after);
    }
  }

  async #onJoined(joined: Joined): Promise<void> {
    // The device learns what the router can do once: capabilities are configuration, the same in every life of the engine.
    this.#device ??= this.#loadDevice(joined).catch((error) => {
      this.#device = null;
      throw error;
    });
    await this.#device;
    if (!this.#channel.up || this.#ended) return;

    this.#policy = joined.encodingPolicy ?? defaultPolicy;
    this.#iceServers = joined.iceServers;
    this.#identity = { peerId: joined.peerId, secret: joined.resumeSecret, displayName: joined.displayName };
    this.#note(joined.resumed ? `joined again, epoch ${joined.engineEpoch}` : `joined, epoch ${joined.engineEpoch}`);
    const same = joined.resumed && joined.engineEpoch !== '' && joined.engineEpoch === this.#media?.epoch;
    if (same && this.#media) this.#keep(this.#media, joined);
    else {
      this.#dropMedia('the server has another engine than before');
      this.#roster = roster.rosterOf(joined.peers);
    }
    this.#epoch = joined.engineEpoch;
    this.#opening = null;
    this.#openFailures = 0;
    this.#joined = true;
    this.#dispatch('AUTH_VALID');
    for (const payload of this.#early.splice(0)) this.#apply(payload);
    this.#changed();
  }

  /** Media flowed on while the socket was away: keep what the server kept, touch nothing else. */
  #keep(media: Media, joined: Joined): void {
    const transports = new Set(joined.keptTransports);
    if (media.held().transports.some(({ id }) => !transports.has(id))) {
      this.#dropMedia('the server no longer has its transports');
      this.#roster = roster.rosterOf(joined.peers);
      return;
    }
    const producers = new Set(joined.keptProducers);
    for (const { producer, key } of [...media.outgoing.values()]) {
      if (!producers.has(producer.id)) media.forgetProducer(key);
    }
    // A server that restarted has forgotten which layers have takers, and says so again only when that changes.
    media.wanted.clear();
    media.sent.clear();
    const consumers = new Set(joined.keptConsumers);
    for (const [producerId, { consumer }] of [...media.incoming]) {
      if (!consumers.has(consumer.id)) media.forgetConsumer(producerId);
    }
    this.#roster = roster.resumeRoster(this.#roster, joined.peers, new Set(media.incoming.keys()));
  }

  async #loadDevice({ routerCapabilities }: Joined): Promise<Device> {
    if (!routerCapabilities) throw new Error('Joined carries no router capabilities');
    const device = await (this.#options.makeDevice ?? Device.factory)();
    await device.load({ routerRtpCapabilities: fromRtpCapabilities(routerCapabilities) });
    return device;
  }

  #onDown(reason: string): void {
    clearTimeout(this.#joinTimer);
    this.#joined = false;
    this.#early = [];
    this.#note(`socket lost: ${reason}`);
    this.#publish();
  }

  // -------------------------------------------------------------------------------------------------------------------------------
  // What the server tells

  #onNotification(payload: Payload): void {
    if (this.#ended) return;
    if (!this.#joined) {
      this.#early.push(payload);
      return;
    }
    this.#apply(payload);
    this.#changed();
  }

  #apply(payload: Payload): void {
    switch (payload.case) {
      case 'peerJoined':
        if (payload.value.peer) this.#roster = roster.join(this.#roster, roster.peerOf(payload.value.peer));
        break;
      case 'peerLeft':
        this.#roster = roster.leave(this.#roster, payload.value.peerId);
        break;
      case 'peerAway':
        this.#roster = roster.setAway(this.#roster, payload.value.peerId, payload.value.away);
        break;
      case 'newProducer': {
        const { peerId, producer } = payload.value;
        if (producer) this.#roster = roster.addSource(this.#roster, peerId, producer);
        break;
      }
      case 'producerClosed':
        this.#roster = roster.removeSource(this.#roster, payload.value.producerId);
        break;
      case 'producerPaused':
        this.#roster = roster.setPaused(this.#roster, payload.value.producerId, true);
        break;
      case 'producerResumed':
        this.#roster = roster.setPaused(this.#roster, payload.value.producerId, false);
        break;
      case 'consumerClosed': {
        const producerId = this.#media?.producerIdOf(payload.value.consumerId);
        if (producerId) this.#roster = roster.removeSource(this.#roster, producerId);
        break;
      }
      case 'layersWanted':
        this.#media?.wanted.set(payload.value.producerId, new Set(payload.value.spatialLayers));
        break;
      case 'backupWanted':
        this.#media?.wantBackup(payload.value.producerId, payload.value.mimeType);
        break;
      case 'layersChanged': {
        const { consumerId, layers = null } = payload.value;
        this.#media?.sent.set(consumerId, { layers, at: Date.now() });
        clearTimeout(this.#starvedTimer);
        // A timer may fire up to a millisecond before the clock has moved that far.
        this.#starvedTimer = setTimeout(() => this.#publish(), STARVED_AFTER_MS + 2);
        break;
      }
      case 'transportClosed':
        if (this.#media?.hasTransport(payload.value.transportId)) {
          this.#replaceMedia(`the server closed a transport: ${payload.value.reason}`);
        }
        break;
      case 'mediaLost':
        this.#loseEngine(payload.value.reason);
        break;
      case 'mediaReady':
        if (this.#epoch !== '' && this.#epoch !== payload.value.engineEpoch) this.#loseEngine('replaced');
        this.#epoch = payload.value.engineEpoch;
        this.#note(`media ready, epoch ${this.#epoch}`);
        break;
      case 'evicted':
        this.#fail(new Error(payload.value.reason || 'You were removed from the room.'));
        break;
      case 'error':
        // Told that the server goes down; its socket closes, and the next one is tried.
        this.#note(`the server says: ${payload.value.message}`);
        break;
      case 'activeSpeakers':
      case 'scoreChanged':
        break; // Several a second: not worth a note.
      default:
        this.#note(`skipped a notification: ${payload.case ?? 'empty or unknown'}`);
    }
  }

  #loseEngine(reason: string): void {
    this.#note(`media lost: ${reason}`);
    this.#epoch = '';
    this.#opening = null;
    this.#openFailures = 0;
    this.#roster = roster.withoutSources(this.#roster);
    this.#dropMedia(reason);
  }

  /** One transport cannot be saved: give both back, so that they stay a pair, and make new ones. */
  #replaceMedia(reason: string): void {
    const media = this.#media;
    this.#dropMedia(reason);
    media?.closeEverywhere();
    this.#changed();
  }

  /** Everything that hung on these transports is gone; the next sync makes it anew. */
  #dropMedia(reason: string): void {
    const media = this.#media;
    if (!media) return;
    this.#media = null;
    this.#note(`media dropped: ${reason}`);
    media.close();
    this.#dispatch('ICE_DISCONNECT');
  }

  // -------------------------------------------------------------------------------------------------------------------------------
  // Wanted against real

  /** Something changed: work off the difference and show it. */
  #changed(): void {
    this.#sync();
    this.#settle();
    this.#publish();
  }

  #sync(): void {
    if (!this.#joined || this.#ended || this.#epoch === '') return;
    const media = this.#media;
    if (!media) {
      void this.#openMedia();
      return;
    }

    for (const direction of media.restartsDue) {
      this.#work(media, `restart ICE of ${direction}`, () => media.restartIce(direction));
    }

    for (const local of this.#local.values()) this.#syncLocal(media, local, local.source);
    for (const backup of media.backups.values()) {
      const first = [...media.outgoing.values()].find(({ producer }) => producer.id === backup.producerId);
      const local = first && this.#local.get(first.key);
      if (local) this.#syncLocal(media, local, backup.key, backup);
    }
    for (const outgoing of [...media.outgoing.values()]) {
      const isWanted = this.#local.has(outgoing.key) || media.backups.has(outgoing.key);
      // A backup has gone already with what it stood in for.
      if (!isWanted && media.outgoing.has(outgoing.key))
        this.#work(media, `end ${outgoing.key}`, () => media.closeProducer(outgoing));
    }

    for (const [peerId, peer] of this.#roster) {
      for (const { id, source } of peer.sources.values()) {
        const incoming = media.incoming.get(id);
        if (!incoming) {
          if (!this.#unplayable.has(id))
            this.#work(media, `receive ${id}`, () => this.#receive(media, id, peerId, source), this.#refusedSource(media, id));
          continue;
        }
        // Before it is resumed: its first keyframe is one of the right size.
        const layers = this.#layersFor(id, incoming);
        if (layers && !sameLayers(layers, incoming.preferred)) {
          this.#work(media, `layers of ${id}`, () => media.setPreferredLayers(incoming, layers), this.#refusedSource(media, id));
        } else if (incoming.serverPaused) {
          this.#work(media, `resume ${id}`, () => media.resumeConsumer(incoming), this.#refusedSource(media, id));
        }
      }
    }
    for (const producerId of [...media.incoming.keys()]) {
      if (!roster.ownerOf(this.#roster, producerId)) media.forgetConsumer(producerId);
    }
    for (const layers of [this.#lines, this.#pinned]) {
      for (const id of layers.keys()) if (!roster.ownerOf(this.#roster, id)) layers.delete(id);
    }
  }

  /** One producer of a source of our own: the source's, or its backup. */
  #syncLocal(media: Media, local: LocalSource, key: string, backup?: Backup): void {
    const refused = this.#refusedLocal(media, local.source, key);
    const outgoing = media.outgoing.get(key);
    if (!outgoing) {
      if (media.canProduce(local.kind))
        this.#work(media, `send ${key}`, () => media.produce(local, this.#policy, backup), refused);
      return;
    }
    if ((media.wanted.get(outgoing.producer.id) ?? null) !== outgoing.sending) {
      this.#work(media, `layers of ${key}`, () => media.sendWanted(outgoing));
    }
    if (outgoing.producer.track !== local.track) {
      this.#work(media, `replace ${key}`, () => outgoing.producer.replaceTrack({ track: local.track }));
    }
    // The browser's side at once, in both directions: what was muted must not be sent a moment longer.
    if (local.paused && !outgoing.producer.paused) outgoing.producer.pause();
    if (!local.paused && outgoing.producer.paused) outgoing.producer.resume();
    if (local.paused !== outgoing.serverPaused) {
      const pause = () => media.pauseProducer(outgoing, local.paused);
      this.#work(media, `${local.paused ? 'pause' : 'resume'} ${key}`, pause, refused);
    }
  }

  /** The layers to ask for; null leaves it at what the server sends by itself, the highest. */
  #layersFor(id: string, { spatialLayers, preferred }: Incoming): Layers | null {
    const pinned = this.#pinned.get(id);
    if (pinned) return pinned;
    const lines = this.#lines.get(id);
    if (lines !== undefined && spatialLayers > 1) return { spatialLayer: spatialLayerFor(lines, spatialLayers) };
    return preferred && { spatialLayer: spatialLayers - 1 };
  }

  #isStarved(id: string): boolean {
    const incoming = this.#media?.incoming.get(id);
    const sent = incoming && this.#media?.sent.get(incoming.consumer.id);
    return sent?.layers === null && !incoming?.serverPaused && Date.now() - sent.at >= STARVED_AFTER_MS;
  }

  /**
   * Runs a piece of work unless it is under way already, and compares again afterwards. A refusal that says something about the object itself
   * goes to `refused`, which returns true when it took the consequence; everything else is tried again, later and later.
   */
  #work(media: Media, name: string, run: () => Promise<void>, refused: (error: SignalError) => boolean = () => false): void {
    if (media.busy.has(name)) return;
    media.busy.add(name);
    run().then(
      () => {
        media.busy.delete(name);
        media.failures.delete(name);
        this.#changed();
      },
      (error: unknown) => {
        if (media !== this.#media || this.#ended) return;
        this.#note(`${name} failed: ${messageOf(error)}`);
        if (error instanceof SignalError && error.code === ErrorCode.NO_SUCH_TRANSPORT)
          this.#dropMedia('the server has no such transport');
        if (media === this.#media && media.broken && this.#joined) {
          this.#mend(media, error);
          return;
        }
        const settled = error instanceof SignalError && refused(error);
        const failures = (media.failures.get(name) ?? 0) + 1;
        // Without a socket there is nothing to wait for but the next Joined, which compares anyway.
        if (settled || !this.#joined || media !== this.#media) {
          media.busy.delete(name);
          this.#changed();
          return;
        }
        media.failures.set(name, failures);
        if (failures === FAILURES_BEFORE_NOTICE) this.#events.onNotice(`${messageOf(error)} Still trying.`);
        const again = () => {
          media.busy.delete(name);
          if (media === this.#media) this.#changed();
        };
        setTimeout(again, Math.max(backoffMs(failures), retryAfterMs(error)));
      },
    );
  }

  /** Transports that were never connected are replaced, later and later, as everything that fails is tried again. */
  #mend(media: Media, error: unknown): void {
    const name = 'replace transports';
    if (media.busy.has(name)) return;
    media.busy.add(name);
    this.#countOpenFailure(error);
    const replace = () => {
      // Without a socket the next Joined finds it broken.
      if (media === this.#media && this.#joined) this.#replaceMedia('a transport could not be connected');
    };
    setTimeout(replace, backoffMs(this.#openFailures));
  }

  #countOpenFailure(error: unknown): void {
    this.#openFailures += 1;
    if (this.#openFailures === FAILURES_BEFORE_NOTICE) this.#events.onNotice(`${messageOf(error)} Still trying.`);
  }

  async #openMedia(): Promise<void> {
    if (this.#opening || !this.#device) return;
    const attempt = {};
    this.#opening = attempt;
    const epoch = this.#epoch;
    let media: Media;
    try {
      media = await Media.open(await this.#device, epoch, this.#iceServers, this.#channel.request, {
        onPath: () => this.#changed(),
        onDead: (reason) => this.#replaceMedia(reason),
        onSourceEnded: (source) => {
          this.#events.onNotice(`Your ${source} stopped.`);
          this.setSource(source, null);
        },
      });
    } catch (error) {
      if (this.#opening !== attempt) return;
      this.#note(`making transports failed: ${messageOf(error)}`);
      this.#countOpenFailure(error);
      const again = () => {
        if (this.#opening !== attempt) return;
        this.#opening = null;
        this.#changed();
      };
      setTimeout(again, backoffMs(this.#openFailures));
      return;
    }
    // An engine that died meanwhile, or a socket that did, took these transports along.
    if (this.#opening !== attempt || this.#ended || !this.#joined || epoch !== this.#epoch) {
      media.closeEverywhere();
      return;
    }
    this.#opening = null;
    this.#media = media;
    this.#changed();
  }

  async #receive(media: Media, producerId: string, peerId: string, source: string): Promise<void> {
    await media.consume(producerId, peerId, source);
    if (this.#media === media) this.#note(`receiving ${source} of ${peerId}`);
  }

  /** Consequences of a refusal for one source of another peer. */
  #refusedSource(media: Media, producerId: string): (error: SignalError) => boolean {
    return ({ code, retryAfterMs }) => {
      // Its maker has been asked for a codec that this browser has, or the server is busy.
      if (retryAfterMs > 0) return false;
      switch (code) {
        case ErrorCode.NO_SUCH_PRODUCER:
          this.#roster = roster.removeSource(this.#roster, producerId);
          return true;
        case ErrorCode.NO_SUCH_CONSUMER:
          media.forgetConsumer(producerId);
          return true;
        case ErrorCode.CANNOT_CONSUME: {
          this.#unplayable.add(producerId);
          const owner = roster.ownerOf(this.#roster, producerId);
          const source = owner?.sources.get(producerId)?.source ?? 'stream';
          this.#events.onNotice(`This browser cannot play the ${source} of ${owner?.name ?? 'a participant'}.`);
          return true;
        }
        case ErrorCode.TOKEN_PERMISSION:
          this.#unplayable.add(producerId);
          media.forgetConsumer(producerId);
          if (!this.#toldNotToReceive) this.#events.onNotice('You may not see and hear the others in this room.');
          this.#toldNotToReceive = true;
          return true;
        default:
          return false;
      }
    };
  }

  /** Consequences of a refusal for one source of our own. */
  #refusedLocal(media: Media, source: string, key: string): (error: SignalError) => boolean {
    return ({ code, retryAfterMs }) => {
      // Too many messages at once, or an engine that is away: a matter of the moment, whatever the code.
      if (retryAfterMs > 0) return false;
      // Without a backup, some see nothing; that is no reason to stop what the others see.
      if (media.backups.delete(key)) return true;
      switch (code) {
        case ErrorCode.NO_SUCH_PRODUCER:
          media.forgetProducer(key);
          return true;
        case ErrorCode.TOKEN_PERMISSION:
          this.#local.delete(source);
          this.#events.onNotice(`You may not send your ${source} in this room.`);
          return true;
        case ErrorCode.UNSUPPORTED_CODEC:
        case ErrorCode.LIMIT:
          this.#local.delete(source);
          this.#events.onNotice(`The server does not take your ${source}.`);
          return true;
        default:
          return false;
      }
    };
  }

  /** Moves the session on when what it waits for is true. */
  #settle(): void {
    const media = this.#media;
    if (!media) return;
    // Transports have proved good once everything wanted of them is done.
    if (media.busy.size === 0) this.#openFailures = 0;
    if (!media.pathUp) this.#dispatch('ICE_DISCONNECT');
    const sending = [...this.#local.values()].every(({ source, kind }) => media.outgoing.has(source) || !media.canProduce(kind));
    if (!sending) return;
    if (this.#session === 'Negotiating') this.#dispatch('OFFER_ACCEPTED');
    else if (this.#session === 'Reconnecting' && media.pathSettled && media.restartsDue.length === 0)
      this.#dispatch('ICE_RESTART');
  }

  // -------------------------------------------------------------------------------------------------------------------------------
  // State and view

  get #ended(): boolean {
    return this.#session === 'Ended';
  }

  #dispatch(event: SessionEvent): void {
    const state = next(this.#session, event);
    if (state === null) return;
    this.#session = state;
    this.#note(`${event}: ${state}`);
    if (state === 'Ended') {
      clearTimeout(this.#joinTimer);
      clearTimeout(this.#displayTimer);
      clearTimeout(this.#starvedTimer);
      this.#joined = false;
      this.#opening = null;
      this.#speaking.stop();
      this.#media?.close();
      this.#media = null;
      this.#roster = roster.emptyRoster;
    }
    this.#publish();
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#note(`ended: ${error.message}`);
    this.#dispatch('CLIENT_DISCONNECT');
    this.#channel.close();
  }

  #note(what: string): void {
    this.history.push({ at: Date.now(), what });
    if (this.history.length > HISTORY_LEN_MAX) this.history.shift();
  }

  #publish(): void {
    const media = this.#media;
    this.#events.onView({
      session: this.#session,
      online: this.#joined,
      room: this.#options.room,
      peerId: this.#identity?.peerId ?? '',
      displayName: this.#identity?.displayName || this.#options.displayName,
      peers: [...this.#roster.values()].map((peer) => ({
        ...peer,
        sources: [...peer.sources.values()].map((source) => ({
          ...source,
          track: media?.incoming.get(source.id)?.consumer.track ?? null,
          unplayable: this.#unplayable.has(source.id),
          starved: !source.paused && this.#isStarved(source.id),
        })),
      })),
      local: new Map(this.#local),
      speaking: this.#speaking.now,
      failure: this.#failure,
    });
  }
}

function sameLayers(a: Layers, b: Layers | null): boolean {
  return a.spatialLayer === b?.spatialLayer && a.temporalLayer === b?.temporalLayer;
}

function backoffMs(failures: number): number {
  return Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS);
}

/** What the server asks to wait; 0 when it says nothing about that. */
function retryAfterMs(error: unknown): number {
  return error instanceof SignalError ? error.retryAfterMs : 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
