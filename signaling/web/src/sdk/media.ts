// The media of one engine process: a send and a receive transport, and their producers and consumers. Nothing
// here outlives its engine; after a loss, `lifecycle.ts` opens a new `Media`. Each method does one thing and
// may fail. `sync.ts` decides which actions are due, `work.ts` when they are tried again.

import type { Device, types } from 'mediasoup-client';
import type { IceServer, TransportCreated } from '../gen/signal_pb';
import type { Request } from './channel';
import {
  cameraEncodings,
  countsOf,
  type EncodingPolicy,
  isSimulcastCodec,
  type Layers,
  modeFor,
  type Share,
  sharesOf,
  supports,
} from './layers';
import type { RestartConfig } from './recovery';
import type { MediaKind } from './roster';
import {
  type Backup,
  type Direction,
  Hints,
  type Incoming,
  type IncomingChannel,
  type LocalSource,
  type Outgoing,
  type Subscribers,
} from './sources';
import { WebRTCError } from './webrtc_error';
import {
  fromIceParameters,
  fromIceServers,
  fromRtpParameters,
  fromSctpStreamParameters,
  fromTransportCreated,
  toDtlsParameters,
  toRtpCapabilities,
  toRtpParameters,
  toSctpStreamParameters,
} from './wire';

/**
 * Chrome reports `disconnected` after some seconds without an answer, and often recovers by itself; wait
 * before a restart.
 */
const RESTART_AFTER_MS = 1_000;
/** An ICE restart without a connection after this long has failed: start over with new transports. */
const RESTART_GIVES_UP_MS = 8_000;

/** Slides and text: few frames, many pixels. Bits a second. */
const SCREEN_BITRATE_MAX = 2_500_000;
/**
 * A receiver with little bandwidth gets fewer frames, at full resolution. A browser without this mode sends
 * one layer.
 */
const SCREEN_MODE = 'L1T3';
/** Priority of a shared screen over cameras when bandwidth is short, because people read it. 1 to 255. */
const SCREEN_PRIORITY = 10;
/**
 * The start value of the browser's bandwidth estimate, so that the picture is sharp in the first second.
 * Kilobits a second.
 */
const VIDEO_START_KBPS = 1_000;

interface TransportPath {
  readonly direction: Direction;
  readonly transport: types.Transport;
  wantsRestart: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Puts end-to-end encryption between the encoders, the decoders and the network. */
export interface Protection {
  /** For the peer connection. */
  readonly settings: Record<string, unknown>;
  protectSender(sender: RTCRtpSender, source: string, mimeType: string): void;
  protectReceiver(receiver: RTCRtpReceiver, peerId: string, source: string, mimeType: string): void;
}

export interface MediaEvents {
  /** Null: media is not encrypted end to end. */
  readonly protection: Protection | null;
  /** The path of a transport is connected or lost, or a restart is due. */
  onPath(): void;
  /** The server has given other ICE servers, or new credentials for them. */
  onIceServers(servers: IceServer[]): void;
  /** This media cannot recover and must be replaced. */
  onDead(reason: string): void;
  /** The device of a source stopped (unplugged, or screen sharing ended from the browser's own bar). */
  onSourceEnded(source: string): void;
  /** A message on a channel of another peer. */
  onData(peerId: string, label: string, dataProducerId: string, data: string | ArrayBuffer): void;
  /** From now on, messages on this channel arrive. */
  onReceiving(peerId: string, label: string, dataProducerId: string): void;
}

/** How a data channel delivers; without one of the two limits, it repeats what was lost. */
export interface Delivery {
  /** Absent: true without a limit. A channel with a limit has no order. */
  readonly ordered?: boolean;
  readonly maxRetransmits?: number;
  /** Milliseconds. */
  readonly maxPacketLifeTime?: number;
}

/** `close()` was called while an action ran. Not an error for the user. */
export class MediaClosed extends WebRTCError {
  override name = 'MediaClosed';

  constructor(message: string) {
    super('CLOSED', message);
  }
}

/** An action needs a transport that could not be connected before. */
export class MediaBroken extends WebRTCError {
  override name = 'MediaBroken';

  constructor() {
    super('ICE_FAILURE', 'The connection for media could not be set up.');
  }
}

export class Media {
  /** By source name, or a backup's key. */
  readonly outgoing = new Map<string, Outgoing>();
  /** By producer id. */
  readonly incoming = new Map<string, Incoming>();
  /** By data producer id. */
  readonly incomingChannels = new Map<string, IncomingChannel>();
  /** By id: the channels on which this client sends. */
  readonly #outgoingChannels = new Map<string, types.DataProducer>();
  readonly hints = new Hints();

  readonly #device: Device;
  readonly #request: Request;
  readonly #events: MediaEvents;
  readonly #paths: Record<Direction, TransportPath>;
  readonly #whenClosed: Promise<never>;
  #reject: (reason: MediaClosed) => void = () => undefined;
  #broken: Error | null = null;
  #closed = false;

  /** Creates both transports in the engine. */
  static async open(device: Device, epoch: string, ice: RestartConfig, request: Request, events: MediaEvents): Promise<Media> {
    const [send, recv] = await Promise.allSettled([
      request({ case: 'createTransport', value: { direction: 'send' } }, 'transportCreated'),
      request({ case: 'createTransport', value: { direction: 'recv' } }, 'transportCreated'),
    ]);
    if (send.status === 'fulfilled' && recv.status === 'fulfilled') {
      const { iceServers, iceTransportPolicy } = ice;
      const options = (created: TransportCreated) => ({
        ...fromTransportCreated(created, iceServers),
        iceTransportPolicy,
        additionalSettings: events.protection?.settings,
      });
      if (send.value.iceServers.length > 0) events.onIceServers(send.value.iceServers);
      return new Media(
        device,
        epoch,
        request,
        events,
        device.createSendTransport(options(send.value)),
        device.createRecvTransport(options(recv.value)),
      );
    }
    for (const half of [send, recv]) {
      if (half.status === 'fulfilled') closeOnServer(request, half.value.id);
    }
    throw send.status === 'rejected' ? send.reason : (recv as PromiseRejectedResult).reason;
  }

  private constructor(
    device: Device,
    readonly epoch: string,
    request: Request,
    events: MediaEvents,
    send: types.Transport,
    recv: types.Transport,
  ) {
    this.#device = device;
    this.#request = request;
    this.#events = events;
    this.#paths = { send: this.#watch('send', send), recv: this.#watch('recv', recv) };
    this.#whenClosed = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#whenClosed.catch(() => undefined);
  }

  #watch(direction: Direction, transport: types.Transport): TransportPath {
    const path: TransportPath = { direction, transport, wantsRestart: false, timer: undefined };
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      if (this.#broken) {
        failed(new MediaBroken());
        return;
      }
      this.#request(
        { case: 'connectTransport', value: { transportId: transport.id, dtlsParameters: toDtlsParameters(dtlsParameters) } },
        'ack',
      ).then(
        () => done(),
        (error: Error) => {
          this.#broken ??= error;
          failed(error);
        },
      );
    });
    if (direction === 'send') {
      transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
        this.#request(
          {
            case: 'produceMedia',
            value: {
              transportId: transport.id,
              kind,
              rtpParameters: toRtpParameters(rtpParameters),
              source: String(appData.source),
              contentHint: String(appData.contentHint ?? ''),
              backupFor: String(appData.backupFor ?? ''),
              paused: appData.paused === true,
            },
          },
          'producerCreated',
        ).then(({ id }) => done({ id }), failed);
      });
      transport.on('producedata', ({ sctpStreamParameters, label = '', protocol = '', appData }, done, failed) => {
        this.#request(
          {
            case: 'produceData',
            value: {
              transportId: transport.id,
              sctpStreamParameters: toSctpStreamParameters(sctpStreamParameters),
              label,
              protocol,
              to: appData.to as string[],
            },
          },
          'dataProducerCreated',
        ).then(({ id }) => done({ id }), failed);
      });
    }
    transport.on('connectionstatechange', (state) => this.#onState(path, state));
    return path;
  }

  #onState(path: TransportPath, state: types.ConnectionState): void {
    clearTimeout(path.timer);
    if (state === 'connected') path.wantsRestart = false;
    if (state === 'failed') path.wantsRestart = true;
    if (state === 'disconnected') {
      path.timer = setTimeout(() => {
        path.wantsRestart = true;
        this.#events.onPath();
      }, RESTART_AFTER_MS);
    }
    this.#events.onPath();
  }

  /**
   * Why a transport could not be connected, or null. At that time mediasoup-client has already added the
   * first track to its peer connection and does not remove it, so every later action on this transport fails:
   * only a new transport helps.
   */
  get broken(): Error | null {
    return this.#broken;
  }

  /** False while a transport that was in use has no path. */
  get pathUp(): boolean {
    return Object.values(this.#paths).every(({ transport }) => !['disconnected', 'failed'].includes(transport.connectionState));
  }

  /** True when every transport either carries media or has none to carry. */
  get pathSettled(): boolean {
    const idle = {
      send: this.outgoing.size + this.#outgoingChannels.size === 0,
      recv: this.incoming.size + this.incomingChannels.size === 0,
    };
    return Object.values(this.#paths).every(
      ({ transport, direction }) =>
        transport.connectionState === 'connected' || (transport.connectionState === 'new' && idle[direction]),
    );
  }

  /** True while a transport carries media. */
  get isCarrying(): boolean {
    return Object.values(this.#paths).some(({ transport }) => transport.connectionState === 'connected');
  }

  /** Both transports restart ICE. */
  requireRestart(): void {
    for (const path of Object.values(this.#paths)) path.wantsRestart = path.transport.connectionState !== 'new';
    this.#events.onPath();
  }

  get restartsDue(): Direction[] {
    return (['send', 'recv'] as const).filter((direction) => this.#paths[direction].wantsRestart);
  }

  /** New ICE credentials for a transport that lost its path. */
  async restartIce(direction: Direction): Promise<void> {
    const path = this.#paths[direction];
    const { iceParameters, iceServers } = await this.#unlessClosed(
      this.#request({ case: 'restartIce', value: { transportId: path.transport.id } }, 'iceRestarted'),
    );
    if (!iceParameters) throw new Error('IceRestarted carries no ICE parameters');
    // The restart gathers candidates again, and the credential that the transport was created with may have
    // expired.
    if (iceServers.length > 0) {
      this.#events.onIceServers(iceServers);
      await this.#unlessClosed(path.transport.updateIceServers({ iceServers: fromIceServers(iceServers) }));
    }
    await this.#unlessClosed(path.transport.restartIce({ iceParameters: fromIceParameters(iceParameters) }));
    path.wantsRestart = false;
    clearTimeout(path.timer);
    path.timer = setTimeout(() => {
      if (path.transport.connectionState !== 'connected')
        this.#events.onDead(`ICE restart of the ${direction} transport gave no connection`);
    }, RESTART_GIVES_UP_MS);
  }

  canProduce(kind: MediaKind): boolean {
    return this.#device.canProduce(kind);
  }

  /**
   * Records that the server requests one of our producers in another codec. A codec that this browser cannot
   * encode is ignored.
   */
  wantBackup(producerId: string, mimeType: string): void {
    const first = [...this.outgoing.values()].find(({ producer }) => producer.id === producerId);
    if (!first || !this.#codec(mimeType)) return;
    const key = `${first.key} in ${mimeType}`;
    this.hints.backups.set(key, { key, producerId, mimeType });
  }

  /** The codec to send: the one given, or the first. */
  #codec(mimeType?: string): types.RtpCodecCapability | undefined {
    const wanted = (codec: types.RtpCodecCapability) =>
      mimeType ? codec.mimeType.toLowerCase() === mimeType.toLowerCase() : codec.mimeType.startsWith('video/');
    return this.#device.sendRtpCapabilities.codecs?.find(wanted);
  }

  async produce(local: LocalSource, policy: EncodingPolicy, held: boolean, backup?: Backup): Promise<void> {
    const { source, kind, track } = local;
    const paused = local.paused || held;
    const key = backup?.key ?? source;
    const codec = kind === 'audio' ? undefined : this.#codec(backup?.mimeType);
    const encoding =
      kind === 'audio' ? { codecOptions: audioOptions(policy) } : await this.#videoOptions(source, track, policy, codec);
    const appData = { source, paused, contentHint: track.contentHint, backupFor: backup?.producerId };
    const producer = await this.#unlessClosed(
      this.#paths.send.transport.produce({
        track,
        stopTracks: false,
        appData,
        ...encoding,
        // If it throws, nothing is sent.
        onRtpSender: (sender) => this.#events.protection?.protectSender(sender, source, codec?.mimeType ?? 'audio/opus'),
      }),
    );
    if (paused) producer.pause();
    producer.on('trackended', () => this.#events.onSourceEnded(source));
    const encodings = producer.rtpParameters.encodings ?? [];
    const subscribers = held && !backup ? null : 'everyone';
    this.outgoing.set(key, { producer, key, encodings, serverPaused: paused, subscribers, sending: null });
  }

  async #videoOptions(
    source: string,
    track: MediaStreamTrack,
    policy: EncodingPolicy,
    codec: types.RtpCodecCapability | undefined,
  ) {
    const codecOptions = { videoGoogleStartBitrate: VIDEO_START_KBPS };
    if (source !== 'camera')
      return { codec, codecOptions, encodings: [{ maxBitrate: SCREEN_BITRATE_MAX, scalabilityMode: SCREEN_MODE }] };
    // A track without a picture so far has no size: assume the requested one.
    const { width = 1280, height = 720 } = track.getSettings();
    const shorter = Math.min(width, height);
    const mimeType = codec?.mimeType ?? 'video/VP8';
    const supported = isSimulcastCodec(mimeType) || (await supports(mimeType, modeFor(policy.scalabilityMode, shorter), shorter));
    return { codec, codecOptions, encodings: cameraEncodings(policy, mimeType, shorter, supported) };
  }

  /** Sets the encoder to the layers that have receivers. The server is not informed: it requested this. */
  async sendWanted(outgoing: Outgoing): Promise<void> {
    const wanted = this.hints.wanted.get(outgoing.producer.id) ?? null;
    const sender = outgoing.producer.rtpSender;
    if (sender) {
      const parameters = sender.getParameters();
      const shares = sharesOf(outgoing.encodings, wanted);
      const encodings = parameters.encodings.map((encoding, index) => ({ ...encoding, ...shares[index] }));
      const isNew = encodings.some((encoding, index) => !isSame(encoding, parameters.encodings[index]));
      if (isNew) await this.#unlessClosed(sender.setParameters({ ...parameters, encodings }));
    }
    outgoing.sending = wanted;
  }

  /** On the server only. The browser's side has been muted or unmuted before. */
  async pauseProducer(outgoing: Outgoing, paused: boolean): Promise<void> {
    const producerId = outgoing.producer.id;
    await this.#unlessClosed(
      paused
        ? this.#request({ case: 'pauseProducer', value: { producerId } }, 'ack')
        : this.#request({ case: 'resumeProducer', value: { producerId } }, 'ack'),
    );
    outgoing.serverPaused = paused;
  }

  async setSubscribers(outgoing: Outgoing, subscribers: Subscribers): Promise<void> {
    const everyone = subscribers === 'everyone';
    const value = { producerId: outgoing.producer.id, everyone, users: everyone ? [] : [...subscribers] };
    await this.#unlessClosed(this.#request({ case: 'setSubscribers', value }, 'ack'));
    outgoing.subscribers = subscribers;
  }

  async closeProducer(outgoing: Outgoing): Promise<void> {
    this.forgetProducer(outgoing.key);
    await this.#unlessClosed(this.#request({ case: 'closeProducer', value: { producerId: outgoing.producer.id } }, 'ack'));
  }

  /** Closes in the browser only. */
  forgetProducer(key: string): void {
    const outgoing = this.outgoing.get(key);
    if (!outgoing) return;
    outgoing.producer.close();
    this.outgoing.delete(key);
    // The server closes backups together with their producer.
    for (const { key } of this.hints.forgetProducer(outgoing.producer.id)) this.forgetProducer(key);
  }

  /**
   * Receives a producer. The consumer starts paused on the server, and is resumed when the decoder is ready.
   */
  async consume(producerId: string, peerId: string, source: string): Promise<void> {
    const recv = this.#paths.recv.transport;
    const answer = await this.#unlessClosed(
      this.#request(
        {
          case: 'consumeMedia',
          value: {
            transportId: recv.id,
            producerId,
            rtpCapabilities: toRtpCapabilities(this.#device.recvRtpCapabilities),
            priority: source.startsWith('screen') ? SCREEN_PRIORITY : 1,
          },
        },
        'consumerCreated',
      ),
    );
    if (!answer.rtpParameters) throw new Error('ConsumerCreated carries no RTP parameters');
    const mimeType = answer.rtpParameters.codecs[0]?.mimeType ?? '';
    let consumer: types.Consumer;
    try {
      consumer = await this.#unlessClosed(
        recv.consume({
          id: answer.id,
          producerId,
          kind: answer.kind as types.MediaKind,
          rtpParameters: fromRtpParameters(answer.rtpParameters),
          // Microphone and camera of one peer play in sync because they share a stream id; a screen has its
          // own clock.
          streamId: source.startsWith('screen') ? `${peerId}-screen` : peerId,
          onRtpReceiver: (receiver) => this.#events.protection?.protectReceiver(receiver, peerId, source, mimeType),
        }),
      );
    } catch (error) {
      // The next try creates another consumer: close this one.
      this.#request({ case: 'closeConsumer', value: { consumerId: answer.id } }, 'ack').catch(() => undefined);
      throw error;
    }
    const { spatial } = countsOf(consumer.rtpParameters.encodings?.[0]?.scalabilityMode);
    this.incoming.set(producerId, { consumer, peerId, spatialLayers: spatial, serverPaused: answer.paused, preferred: null });
  }

  async setPreferredLayers(incoming: Incoming, layers: Layers): Promise<void> {
    const consumerId = incoming.consumer.id;
    await this.#unlessClosed(this.#request({ case: 'setPreferredLayers', value: { consumerId, layers } }, 'ack'));
    incoming.preferred = layers;
  }

  /** On the server only. */
  async pauseConsumer(incoming: Incoming, paused: boolean): Promise<void> {
    const value = { consumerId: incoming.consumer.id };
    await this.#unlessClosed(this.#request({ case: paused ? 'pauseConsumer' : 'resumeConsumer', value }, 'ack'));
    incoming.serverPaused = paused;
  }

  async closeConsumer(producerId: string): Promise<void> {
    const consumerId = this.incoming.get(producerId)?.consumer.id;
    this.forgetConsumer(producerId);
    await this.#unlessClosed(this.#request({ case: 'closeConsumer', value: { consumerId } }, 'ack'));
  }

  /** Closes in the browser only: the server closes a consumer with its producer. */
  forgetConsumer(producerId: string): void {
    const incoming = this.incoming.get(producerId);
    if (!incoming) return;
    incoming.consumer.close();
    this.incoming.delete(producerId);
    this.hints.sent.delete(incoming.consumer.id);
    this.hints.consumerScores.delete(incoming.consumer.id);
  }

  /** Opens a channel to these peers; with none, to all others of the room. */
  async produceData(label: string, to: readonly string[], delivery: Delivery): Promise<types.DataProducer> {
    const producer = await this.#unlessClosed(
      this.#paths.send.transport.produceData({ ...delivery, label, appData: { to: [...to] } }),
    );
    this.#outgoingChannels.set(producer.id, producer);
    producer.observer.on('close', () => {
      if (!this.#outgoingChannels.delete(producer.id) || this.#closed) return;
      this.#request({ case: 'closeDataProducer', value: { dataProducerId: producer.id } }, 'ack').catch(() => undefined);
    });
    return producer;
  }

  /** The server has closed a data producer of this client. */
  forgetDataProducer(id: string): void {
    const producer = this.#outgoingChannels.get(id);
    if (!producer) return;
    this.#outgoingChannels.delete(id);
    // As if the browser had closed it: its owner gets the event.
    producer.transportClosed();
  }

  /** Receives a data producer of another peer. Its stream is that of the answer. */
  async consumeData(dataProducerId: string, peerId: string): Promise<void> {
    const recv = this.#paths.recv.transport;
    const { id, sctpStreamParameters, label, protocol } = await this.#unlessClosed(
      this.#request({ case: 'consumeData', value: { transportId: recv.id, dataProducerId } }, 'dataConsumerCreated'),
    );
    let consumer: types.DataConsumer;
    try {
      if (!sctpStreamParameters) throw new Error('DataConsumerCreated carries no SCTP stream');
      const stream = fromSctpStreamParameters(sctpStreamParameters);
      consumer = await this.#unlessClosed(
        recv.consumeData({ id, dataProducerId, sctpStreamParameters: stream, label, protocol }),
      );
    } catch (error) {
      // The next try creates another consumer: close this one.
      this.#request({ case: 'closeDataConsumer', value: { dataConsumerId: id } }, 'ack').catch(() => undefined);
      throw error;
    }
    consumer.binaryType = 'arraybuffer';
    consumer.on('message', (data: string | ArrayBuffer) => this.#events.onData(peerId, label, dataProducerId, data));
    this.incomingChannels.set(dataProducerId, { consumer, peerId });
    const onOpen = () => this.#events.onReceiving(peerId, label, dataProducerId);
    if (consumer.readyState === 'open') onOpen();
    else consumer.on('open', onOpen);
  }

  /** Closes in the browser only: the server closes a data consumer with its data producer. */
  forgetData(dataProducerId: string): void {
    this.incomingChannels.get(dataProducerId)?.consumer.close();
    this.incomingChannels.delete(dataProducerId);
  }

  dataProducerIdOf(dataConsumerId: string): string | undefined {
    for (const [id, { consumer }] of this.incomingChannels) if (consumer.id === dataConsumerId) return id;
    return undefined;
  }

  /** The producers and data producers whose consumers still receive. */
  get received(): ReadonlySet<string> {
    const open = [...this.incomingChannels].filter(([, { consumer }]) => !consumer.closed);
    return new Set([...this.incoming.keys(), ...open.map(([id]) => id)]);
  }

  /** The key of a producer of this client. */
  keyOf(producerId: string): string | undefined {
    for (const [key, { producer }] of this.outgoing) if (producer.id === producerId) return key;
    return undefined;
  }

  producerIdOf(consumerId: string): string | undefined {
    for (const [producerId, { consumer }] of this.incoming) if (consumer.id === consumerId) return producerId;
    return undefined;
  }

  /**
   * The layers with which the server sends a source, as it reports them; null: the server sends none;
   * undefined: not reported yet.
   */
  layersOf(producerId: string): Layers | null | undefined {
    const incoming = this.incoming.get(producerId);
    return incoming && this.hints.sent.get(incoming.consumer.id)?.layers;
  }

  hasTransport(id: string): boolean {
    return Object.values(this.#paths).some(({ transport }) => transport.id === id);
  }

  /** The objects of this media, as a `Resume` lists them. */
  resumable() {
    return {
      engineEpoch: this.epoch,
      transports: Object.values(this.#paths).map(({ transport: { id } }) => ({ id })),
      producers: [...this.outgoing.values()].map(({ producer: { id } }) => ({ id })),
      consumers: [...this.incoming.values()].map(({ consumer: { id } }) => ({ id })),
    };
  }

  getStats(direction: Direction): Promise<RTCStatsReport> {
    return this.#paths[direction].transport.getStats();
  }

  /** Closes in the browser. Running actions end with `MediaClosed`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const path of Object.values(this.#paths)) {
      clearTimeout(path.timer);
      path.transport.close();
    }
    this.outgoing.clear();
    this.incoming.clear();
    this.incomingChannels.clear();
    this.#outgoingChannels.clear();
    this.#reject(new MediaClosed('closed'));
  }

  /** Closes in the browser and on the server. */
  closeEverywhere(): void {
    for (const { transport } of Object.values(this.#paths)) closeOnServer(this.#request, transport.id);
    this.close();
  }

  /** mediasoup-client never settles some promises when their transport closes; this one rejects. */
  async #unlessClosed<T>(work: Promise<T>): Promise<T> {
    const result = await Promise.race([work, this.#whenClosed]);
    if (this.#closed) throw new MediaClosed('closed');
    return result;
  }
}

function isSame(one: Share, other: Share | undefined): boolean {
  return (
    (one.active ?? true) === (other?.active ?? true) &&
    one.scalabilityMode === other?.scalabilityMode &&
    (one.scaleResolutionDownBy ?? 1) === (other?.scaleResolutionDownBy ?? 1) &&
    one.maxBitrate === other?.maxBitrate
  );
}

/** Retransmission and in-band FEC cost little bandwidth and repair lost speech. */
function audioOptions({ opusStereo, opusDtx }: EncodingPolicy): types.ProducerCodecOptions {
  return { opusStereo, opusDtx, opusFec: true, opusNack: true };
}

/** Without waiting for the answer: the server closes all transports with the session anyway. */
function closeOnServer(request: Request, transportId: string): void {
  request({ case: 'closeTransport', value: { transportId } }, 'ack').catch(() => undefined);
}
