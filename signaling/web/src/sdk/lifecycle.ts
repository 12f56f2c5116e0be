// The media of a call over several engine processes: opens transports when there is an engine, replaces them
// when they fail, and drops them when their engine is lost.

import type { Device, types } from 'mediasoup-client';
import { ErrorCode, type Joined } from '../gen/signal_pb';
import type { Request } from './channel';
import { messageOf, SignalError } from './errors';
import { defaultPolicy, type EncodingPolicy } from './layers';
import type { Note } from './log';
import { type Delivery, Media, MediaClosed, type Protection } from './media';
import type { CallNotice } from './notice';
import type { MediaChange } from './notifications';
import { perform } from './perform';
import { Recovery, type RestartConfig } from './recovery';
import type { Action } from './sync';
import { fromIceServers } from './wire';
import { backoffMs, FAILURES_BEFORE_NOTICE, type Verdict, Work } from './work';

export interface LifecycleEvents {
  /** The state has changed: compare again. */
  onChange(): void;
  /** The engine is lost, and all sources in the room with it. */
  onEngineLost(): void;
  /** The transports are gone. */
  onDropped(): void;
  /** The call needs a new socket and a new join. */
  onRejoin(): void;
  /** True when the refusal has been applied, false when the action is to be tried again. */
  onRefused(media: Media, action: Action, error: SignalError): boolean;
  /** The device of a source stopped. */
  onSourceEnded(source: string): void;
  /** A message on a channel of another peer. */
  onData(peerId: string, label: string, dataProducerId: string, data: string | ArrayBuffer): void;
  /** From now on, messages on this channel arrive. */
  onReceiving(peerId: string, label: string, dataProducerId: string): void;
  onNotice(notice: CallNotice): void;
  note: Note;
  /** The server has assigned this socket to the client. */
  isJoined(): boolean;
  /** Null: media is not encrypted end to end. */
  protection(): Protection | null;
}

export class MediaLifecycle {
  readonly #request: Request;
  readonly #events: LifecycleEvents;
  readonly recovery: Recovery;
  #device: Device | null = null;
  #iceServers: RTCIceServer[] = [];
  /** Of the next transports. */
  #iceTransportPolicy: RTCIceTransportPolicy = 'all';
  #policy: EncodingPolicy = defaultPolicy;
  /** The id of the running engine process; empty while there is none. */
  #epoch = '';
  #current: { readonly media: Media; readonly work: Work } | null = null;
  /**
   * The latest attempt to create transports; an older attempt finds another one here, or none, and gives up.
   */
  #opening: object | null = null;
  /** Attempts in a row that gave no transports, or none that could be used. */
  #openFailures = 0;
  /** Media whose transports could not be connected, and which is still to be replaced. */
  #broken: Media | null = null;

  constructor(request: Request, events: LifecycleEvents) {
    this.#request = request;
    this.#events = events;
    const { onChange, note, isJoined } = events;
    const peer = {
      restartIce: (config: RestartConfig) => this.restartIce(config),
      rejoin: () => this.rejoin(),
      iceServers: () => this.#iceServers,
      isJoined,
    };
    this.recovery = new Recovery(peer, { onChange, note });
  }

  get media(): Media | null {
    return this.#current?.media ?? null;
  }

  get hasEngine(): boolean {
    return this.#epoch !== '';
  }

  /** Before a `JoinRoom`: the objects that the resume lists. The server closes all others. */
  onSocket(): ReturnType<Media['resumable']> | undefined {
    if (this.media?.broken) this.drop('the socket was lost before its transports were connected');
    return this.media?.resumable();
  }

  /** Returns the media that the server has kept; null when everything must be created again. */
  onJoined(joined: Joined, device: Device): Media | null {
    this.#device = device;
    this.#policy = joined.encodingPolicy ?? defaultPolicy;
    this.#iceServers = fromIceServers(joined.iceServers);
    const { media } = this;
    const isSame = joined.resumed && joined.engineEpoch !== '' && joined.engineEpoch === media?.epoch;
    if (media && isSame) this.#keep(media, joined);
    else this.drop('the server has another engine than before');
    this.#restart(joined.engineEpoch);
    return this.media;
  }

  /**
   * Media continued to flow while the socket was lost: keep the objects that the server kept, and change
   * nothing else.
   */
  #keep(media: Media, joined: Joined): void {
    const transports = new Set(joined.keptTransports);
    if (media.resumable().transports.some(({ id }) => !transports.has(id))) {
      this.drop('the server no longer has its transports');
      return;
    }
    const producers = new Set(joined.keptProducers);
    for (const { producer, key } of [...media.outgoing.values()]) {
      if (!producers.has(producer.id)) media.forgetProducer(key);
    }
    // After a snapshot: a restarted server has no record of which layers have receivers, and reports them again
    // only when they change.
    if (!joined.replayed) media.hints.clear();
    const consumers = new Set(joined.keptConsumers);
    for (const [producerId, { consumer }] of [...media.incoming]) {
      if (!consumers.has(consumer.id)) media.forgetConsumer(producerId);
    }
  }

  /**
   * New transports with this configuration, to which the tracks move: mediasoup-client cannot change the policy of a
   * transport.
   */
  restartIce({ iceServers, iceTransportPolicy }: RestartConfig): void {
    this.#iceServers = iceServers;
    this.#iceTransportPolicy = iceTransportPolicy;
    this.#opening = null;
    this.#replace(`ICE has no path; new transports, ${iceTransportPolicy === 'relay' ? 'over a relay' : 'with all paths'}`);
  }

  /** A new socket, and with it new transports with all paths. */
  rejoin(): void {
    this.#iceTransportPolicy = 'all';
    const { media } = this;
    this.drop('joining again');
    media?.closeEverywhere();
    this.#events.onRejoin();
  }

  /** Media has its path. Later transports try all paths again. */
  onRestored(): void {
    this.#iceTransportPolicy = 'all';
    this.recovery.onRestored();
  }

  #restart(epoch: string): void {
    this.#epoch = epoch;
    this.#opening = null;
    this.#openFailures = 0;
  }

  /** Applies a notification about transports, producers of this client, or consumers. */
  apply(change: MediaChange): void {
    const { media } = this;
    switch (change.on) {
      case 'layersWanted':
        media?.hints.wanted.set(change.producerId, change.layers);
        break;
      case 'backupWanted':
        media?.wantBackup(change.producerId, change.mimeType);
        break;
      case 'layersChanged':
        media?.hints.sent.set(change.consumerId, { layers: change.layers, at: Date.now() });
        break;
      case 'consumerScore':
        media?.hints.consumerScores.set(change.consumerId, change.score);
        break;
      case 'producerScore':
        media?.hints.setProducerScore(change.producerId, change.encoding, change.score);
        break;
      case 'transportClosed':
        if (media?.hasTransport(change.transportId)) this.#replace(`the server closed a transport: ${change.reason}`);
        break;
      case 'mediaLost':
        this.#loseEngine(change.reason);
        break;
      case 'mediaReady':
        if (this.hasEngine && this.#epoch !== change.epoch) this.#loseEngine('replaced');
        this.#epoch = change.epoch;
        this.#events.note(`media ready, epoch ${this.#epoch}`);
        break;
    }
  }

  #loseEngine(reason: string): void {
    this.#events.note(`media lost: ${reason}`, 'warn');
    this.#restart('');
    this.recovery.end();
    this.#events.onEngineLost();
    this.drop(reason);
  }

  /** Closes the media on this side; the next comparison creates it again. */
  drop(reason: string): void {
    const media = this.#close();
    if (!media) return;
    this.#events.note(`media dropped: ${reason}`, 'warn');
    this.#events.onDropped();
  }

  #close(): Media | null {
    const current = this.#current;
    this.#current = null;
    this.#broken = null;
    current?.work.close();
    current?.media.close();
    return current?.media ?? null;
  }

  /** One transport failed and cannot recover: close both, because they stay a pair, and create new ones. */
  #replace(reason: string): void {
    const { media } = this;
    this.drop(reason);
    media?.closeEverywhere();
    this.#events.onChange();
  }

  /** Starts the actions that are not running yet. */
  run(actions: readonly Action[]): void {
    for (const action of actions) this.#current?.work.start(action);
  }

  /** Called after each comparison: transports count as good once no action on them is left. */
  settle(): void {
    if (this.#current?.work.idle && !this.#broken) this.#openFailures = 0;
  }

  #onFailed(media: Media, name: string, action: Action, error: unknown): Verdict {
    this.#events.note(`${name} failed: ${messageOf(error)}`, 'warn', error);
    if (this.#isReplaced(media, error)) return 'stop';
    const hasConsequence = error instanceof SignalError && this.#events.onRefused(media, action, error);
    // Without a socket the next event is Joined, after which everything is compared.
    return hasConsequence || !this.#events.isJoined() || media !== this.media ? 'settled' : 'retry';
  }

  /** After a failure that concerns the transports. True if others will take their place. */
  #isReplaced(media: Media, error: unknown): boolean {
    const isGone = error instanceof SignalError && error.errorCode === ErrorCode.NO_SUCH_TRANSPORT;
    if (isGone) this.drop('the server has no such transport');
    if (media !== this.media || !media.broken || !this.#events.isJoined()) return false;
    this.#replaceBroken(media, media.broken);
    return true;
  }

  /** Opens a channel on which this client sends. */
  async produceData(label: string, to: readonly string[], delivery: Delivery): Promise<types.DataProducer> {
    const { media } = this;
    // mediasoup-client makes the channel before it asks the server, and keeps it after a failure.
    if (!media || !this.#events.isJoined()) throw new MediaClosed('There are no transports, or no signaling.');
    try {
      return await media.produceData(label, to, delivery);
    } catch (error) {
      this.#events.note(`sending on channel ${label} failed: ${messageOf(error)}`, 'warn', error);
      this.#isReplaced(media, error);
      if (media !== this.media) this.#events.onChange();
      throw error;
    }
  }

  /** Transports that were never connected are replaced, with a longer pause after each failure. */
  #replaceBroken(media: Media, error: unknown): void {
    if (this.#broken === media) return;
    this.#broken = media;
    this.#countOpenFailure(error);
    const replace = () => {
      // Without a socket: `onSocket` finds this media broken.
      if (media === this.media && this.#events.isJoined()) this.#replace('a transport could not be connected');
    };
    setTimeout(replace, backoffMs(this.#openFailures));
  }

  #countOpenFailure(error: unknown): void {
    this.#openFailures += 1;
    if (this.#openFailures === FAILURES_BEFORE_NOTICE) this.#onStuck(error);
  }

  #onStuck(error: unknown): void {
    this.#events.onNotice({ code: 'STILL_TRYING', reason: messageOf(error) });
  }

  /** Creates transports, unless an attempt is running. */
  async open(): Promise<void> {
    const device = this.#device;
    if (this.#opening || !device) return;
    const attempt = {};
    this.#opening = attempt;
    const epoch = this.#epoch;
    let media: Media;
    try {
      const ice = { iceServers: this.#iceServers, iceTransportPolicy: this.#iceTransportPolicy };
      media = await Media.open(device, epoch, ice, this.#request, {
        onPath: () => this.#events.onChange(),
        onIceServers: (servers) => {
          this.#iceServers = fromIceServers(servers);
        },
        onDead: (reason) => {
          this.#events.note(reason, 'warn');
          this.recovery.onFailed();
        },
        protection: this.#events.protection(),
        onSourceEnded: (source) => this.#events.onSourceEnded(source),
        onData: (...message) => this.#events.onData(...message),
        onReceiving: (...channel) => this.#events.onReceiving(...channel),
      });
    } catch (error) {
      if (this.#opening !== attempt) return;
      this.#events.note(`making transports failed: ${messageOf(error)}`, 'warn', error);
      this.#countOpenFailure(error);
      const again = () => {
        if (this.#opening !== attempt) return;
        this.#opening = null;
        this.#events.onChange();
      };
      setTimeout(again, backoffMs(this.#openFailures));
      return;
    }
    // If the engine or the socket was lost during the requests, these transports are lost, too.
    if (this.#opening !== attempt || !this.#events.isJoined() || epoch !== this.#epoch) {
      media.closeEverywhere();
      return;
    }
    this.#opening = null;
    const work = new Work((action) => this.#perform(media, action), {
      onChange: () => this.#events.onChange(),
      onFailed: (name, action, error) => this.#onFailed(media, name, action, error),
      onStuck: (error) => this.#onStuck(error),
    });
    this.#current = { media, work };
    this.#events.onChange();
  }

  async #perform(media: Media, action: Action): Promise<void> {
    await perform(action, media, this.#policy);
    if (action.do === 'consume' && media === this.media)
      this.#events.note(`receiving ${action.source} of ${action.peerId}`, 'debug');
  }

  /** The call has ended. */
  end(): void {
    this.#opening = null;
    this.recovery.end();
    this.#close();
  }
}
