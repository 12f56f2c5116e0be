// The media of one life of the engine: a send and a receive transport, what goes out and what comes in. Nothing here outlives its engine;
// after a loss the call makes a new one. Methods do one thing each and may fail; what is wanted, and when to try again, the call decides.

import type { Device, types } from 'mediasoup-client';
import type { IceServer } from '../gen/signal_pb';
import type { Request } from './channel';
import {
  cameraEncodings,
  countsOf,
  type EncodingPolicy,
  isSimulcastCodec,
  modeFor,
  type Share,
  sharesOf,
  supports,
} from './layers';
import type { MediaKind } from './roster';
import {
  fromIceParameters,
  fromIceServers,
  fromRtpParameters,
  fromTransportCreated,
  toDtlsParameters,
  toRtpCapabilities,
  toRtpParameters,
} from './wire';

/** Chrome says `disconnected` after some seconds without an answer, and often recovers by itself; wait a moment before a restart. */
const RESTART_AFTER_MS = 1_000;
/** A restarted ICE that is not through by then will not be: start over with new transports. */
const RESTART_GIVES_UP_MS = 8_000;

/** Slides and text: few frames, many pixels. Bits a second. */
const SCREEN_BITRATE_MAX = 2_500_000;
/** Whoever lacks the bandwidth for all its frames gets fewer, all sharp. A browser that has no such mode sends all. */
const SCREEN_MODE = 'L1T3';
/** Of somebody's screen beside cameras, when bandwidth is short: one looks at it to read. Of 1 to 255. */
const SCREEN_PRIORITY = 10;
/** Where the browser's estimate begins, so that the picture is sharp in the first second. Kilobits a second. */
const VIDEO_START_KBPS = 1_000;

export type Direction = 'send' | 'recv';

/** Something this client sends or wants to send. */
export interface LocalSource {
  readonly source: string;
  readonly kind: MediaKind;
  readonly track: MediaStreamTrack;
  readonly paused: boolean;
}

/** The same source in a second codec, for those who cannot play the first. */
export interface Backup {
  /** Names it among what goes out. */
  readonly key: string;
  /** The producer that it stands in for. */
  readonly producerId: string;
  readonly mimeType: string;
}

/** A producer, and what the server believes of it. */
export interface Outgoing {
  readonly producer: types.Producer;
  /** The source's name, or a backup's key. */
  readonly key: string;
  /** How it is encoded while everything of it is wanted. */
  readonly encodings: readonly types.RtpEncodingParameters[];
  serverPaused: boolean;
  /** The spatial layers that its encoder was last told to send; null is all. */
  sending: ReadonlySet<number> | null;
}

/** A pair of layers; as a wish without `temporalLayer`, all frame rates. */
export interface Layers {
  spatialLayer: number;
  temporalLayer?: number;
}

/** A consumer, and what the server believes of it. */
export interface Incoming {
  readonly consumer: types.Consumer;
  readonly peerId: string;
  /** Spatial layers there are; 1 where there is nothing to choose. */
  readonly spatialLayers: number;
  serverPaused: boolean;
  preferred: Layers | null;
}

/** What a consumer is sent, as the server says, and since when (milliseconds since the epoch). Null layers are nothing. */
export interface Sent {
  layers: Layers | null;
  at: number;
}

interface Leg {
  readonly direction: Direction;
  readonly transport: types.Transport;
  wantsRestart: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export interface MediaEvents {
  /** The path of a transport came or went, or a restart is due: look again. */
  onPath(): void;
  /** This media cannot be saved; make a new one. */
  onDead(reason: string): void;
  /** The device behind a source stopped (unplugged, or screen sharing ended from the browser's own bar). */
  onSourceEnded(source: string): void;
}

/** A piece of work was overtaken by `close()`; nobody has to be told. */
export class MediaClosed extends Error {
  override name = 'MediaClosed';
}

/** A transport was to be used that could not be connected before. */
export class MediaBroken extends Error {
  override name = 'MediaBroken';

  constructor() {
    super('The connection for media could not be set up.');
  }
}

export class Media {
  /** By source name, or a backup's key. */
  readonly outgoing = new Map<string, Outgoing>();
  /** By producer id. */
  readonly incoming = new Map<string, Incoming>();
  /** Names of work under way or waiting for its next try; the call's, kept here because they die together. */
  readonly busy = new Set<string>();
  /** How often each of them has failed in a row. */
  readonly failures = new Map<string, number>();
  /** By producer id, the spatial layers that somebody takes. The server may say so before its answer tells the producer's id. */
  readonly wanted = new Map<string, ReadonlySet<number>>();
  /** Backups that the server has asked for, by key. */
  readonly backups = new Map<string, Backup>();
  /** By consumer id. */
  readonly sent = new Map<string, Sent>();

  readonly #device: Device;
  readonly #request: Request;
  readonly #events: MediaEvents;
  readonly #legs: Record<Direction, Leg>;
  readonly #whenClosed: Promise<never>;
  #reject: (reason: MediaClosed) => void = () => undefined;
  #broken = false;
  #closed = false;

  /** Makes both transports in the engine. */
  static async open(
    device: Device,
    epoch: string,
    iceServers: IceServer[],
    request: Request,
    events: MediaEvents,
  ): Promise<Media> {
    const [send, recv] = await Promise.allSettled([
      request({ case: 'createTransport', value: { direction: 'send' } }, 'transportCreated'),
      request({ case: 'createTransport', value: { direction: 'recv' } }, 'transportCreated'),
    ]);
    if (send.status === 'fulfilled' && recv.status === 'fulfilled') {
      return new Media(
        device,
        epoch,
        request,
        events,
        device.createSendTransport(fromTransportCreated(send.value, iceServers)),
        device.createRecvTransport(fromTransportCreated(recv.value, iceServers)),
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
    this.#legs = { send: this.#leg('send', send), recv: this.#leg('recv', recv) };
    this.#whenClosed = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#whenClosed.catch(() => undefined);
  }

  #leg(direction: Direction, transport: types.Transport): Leg {
    const leg: Leg = { direction, transport, wantsRestart: false, timer: undefined };
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
          this.#broken = true;
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
    }
    transport.on('connectionstatechange', (state) => this.#onState(leg, state));
    return leg;
  }

  #onState(leg: Leg, state: types.ConnectionState): void {
    clearTimeout(leg.timer);
    if (state === 'connected') leg.wantsRestart = false;
    if (state === 'failed') leg.wantsRestart = true;
    if (state === 'disconnected') {
      leg.timer = setTimeout(() => {
        leg.wantsRestart = true;
        this.#events.onPath();
      }, RESTART_AFTER_MS);
    }
    this.#events.onPath();
  }

  /**
   * A transport did not get as far as its handshake. mediasoup-client has added the first track to its peer connection by then and does not take it
   * out again, so that whatever is tried on this transport later fails: only a new one helps.
   */
  get broken(): boolean {
    return this.#broken;
  }

  /** False while a transport that was in use has no path. */
  get pathUp(): boolean {
    return Object.values(this.#legs).every(({ transport }) => !['disconnected', 'failed'].includes(transport.connectionState));
  }

  /** True when every transport either carries media or has none to carry. */
  get pathSettled(): boolean {
    const idle = { send: this.outgoing.size === 0, recv: this.incoming.size === 0 };
    return Object.values(this.#legs).every(
      ({ transport, direction }) =>
        transport.connectionState === 'connected' || (transport.connectionState === 'new' && idle[direction]),
    );
  }

  get restartsDue(): Direction[] {
    return (['send', 'recv'] as const).filter((direction) => this.#legs[direction].wantsRestart);
  }

  /** New ICE credentials for a transport that lost its path. */
  async restartIce(direction: Direction): Promise<void> {
    const leg = this.#legs[direction];
    const { iceParameters, iceServers } = await this.#unlessClosed(
      this.#request({ case: 'restartIce', value: { transportId: leg.transport.id } }, 'iceRestarted'),
    );
    if (!iceParameters) throw new Error('IceRestarted carries no ICE parameters');
    // The restart gathers anew, and the credential that the transport was made with may have expired.
    if (iceServers.length > 0) {
      await this.#unlessClosed(leg.transport.updateIceServers({ iceServers: fromIceServers(iceServers) }));
    }
    await this.#unlessClosed(leg.transport.restartIce({ iceParameters: fromIceParameters(iceParameters) }));
    leg.wantsRestart = false;
    clearTimeout(leg.timer);
    leg.timer = setTimeout(() => {
      if (leg.transport.connectionState !== 'connected')
        this.#events.onDead(`ICE restart of the ${direction} transport led nowhere`);
    }, RESTART_GIVES_UP_MS);
  }

  canProduce(kind: MediaKind): boolean {
    return this.#device.canProduce(kind);
  }

  /** Notes that the server asks for a producer of ours in another codec; one that this browser does not encode is not noted. */
  wantBackup(producerId: string, mimeType: string): void {
    const first = [...this.outgoing.values()].find(({ producer }) => producer.id === producerId);
    if (!first || !this.#codec(mimeType)) return;
    const key = `${first.key} in ${mimeType}`;
    this.backups.set(key, { key, producerId, mimeType });
  }

  /** The codec to send: the first, or a certain one. */
  #codec(mimeType?: string): types.RtpCodecCapability | undefined {
    const wanted = (codec: types.RtpCodecCapability) =>
      mimeType ? codec.mimeType.toLowerCase() === mimeType.toLowerCase() : codec.mimeType.startsWith('video/');
    return this.#device.sendRtpCapabilities.codecs?.find(wanted);
  }

  async produce({ source, kind, track, paused }: LocalSource, policy: EncodingPolicy, backup?: Backup): Promise<void> {
    const key = backup?.key ?? source;
    const encoding =
      kind === 'audio'
        ? { codecOptions: audioOptions(policy) }
        : await this.#videoOptions(source, track, policy, this.#codec(backup?.mimeType));
    const appData = { source, paused, contentHint: track.contentHint, backupFor: backup?.producerId };
    const producer = await this.#unlessClosed(
      this.#legs.send.transport.produce({ track, stopTracks: false, appData, ...encoding }),
    );
    if (paused) producer.pause();
    producer.on('trackended', () => this.#events.onSourceEnded(source));
    const encodings = producer.rtpParameters.encodings ?? [];
    this.outgoing.set(key, { producer, key, encodings, serverPaused: paused, sending: null });
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
    // What is not told (by a track that has no picture yet) is taken for what was asked for.
    const { width = 1280, height = 720 } = track.getSettings();
    const shorter = Math.min(width, height);
    const mimeType = codec?.mimeType ?? 'video/VP8';
    const supported = isSimulcastCodec(mimeType) || (await supports(mimeType, modeFor(policy.scalabilityMode, shorter), shorter));
    return { codec, codecOptions, encodings: cameraEncodings(policy, mimeType, shorter, supported) };
  }

  /** Has the encoder send what somebody takes, and nothing else. Without a word to the server: it asked for this. */
  async sendWanted(outgoing: Outgoing): Promise<void> {
    const wanted = this.wanted.get(outgoing.producer.id) ?? null;
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

  /** Tells the server what is wanted; the browser's side follows at once, whatever the server says. */
  async pauseProducer(outgoing: Outgoing, paused: boolean): Promise<void> {
    const producerId = outgoing.producer.id;
    await this.#unlessClosed(
      paused
        ? this.#request({ case: 'pauseProducer', value: { producerId } }, 'ack')
        : this.#request({ case: 'resumeProducer', value: { producerId } }, 'ack'),
    );
    outgoing.serverPaused = paused;
  }

  async closeProducer(outgoing: Outgoing): Promise<void> {
    this.forgetProducer(outgoing.key);
    await this.#unlessClosed(this.#request({ case: 'closeProducer', value: { producerId: outgoing.producer.id } }, 'ack'));
  }

  /** Closes on this side only. */
  forgetProducer(key: string): void {
    const outgoing = this.outgoing.get(key);
    if (!outgoing) return;
    outgoing.producer.close();
    this.outgoing.delete(key);
    this.wanted.delete(outgoing.producer.id);
    // The server closes backups with what they stand in for.
    for (const backup of [...this.backups.values()].filter(({ producerId }) => producerId === outgoing.producer.id)) {
      this.backups.delete(backup.key);
      this.forgetProducer(backup.key);
    }
  }

  /** Receives a producer. The consumer begins paused on the server: `resumeConsumer` starts it once the decoder is ready. */
  async consume(producerId: string, peerId: string, source: string): Promise<void> {
    const recv = this.#legs.recv.transport;
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
    let consumer: types.Consumer;
    try {
      consumer = await this.#unlessClosed(
        recv.consume({
          id: answer.id,
          producerId,
          kind: answer.kind as types.MediaKind,
          rtpParameters: fromRtpParameters(answer.rtpParameters),
          // Microphone and camera of one peer play in sync because they share a stream id; a screen has its own clock.
          streamId: source.startsWith('screen') ? `${peerId}-screen` : peerId,
        }),
      );
    } catch (error) {
      // The next try makes another one: do not leave this one behind.
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

  async resumeConsumer(incoming: Incoming): Promise<void> {
    await this.#unlessClosed(this.#request({ case: 'resumeConsumer', value: { consumerId: incoming.consumer.id } }, 'ack'));
    incoming.serverPaused = false;
  }

  /** Closes on this side only: the server closes a consumer with its producer, or has said so itself. */
  forgetConsumer(producerId: string): void {
    const incoming = this.incoming.get(producerId);
    if (!incoming) return;
    incoming.consumer.close();
    this.incoming.delete(producerId);
    this.sent.delete(incoming.consumer.id);
  }

  producerIdOf(consumerId: string): string | undefined {
    for (const [producerId, { consumer }] of this.incoming) if (consumer.id === consumerId) return producerId;
    return undefined;
  }

  hasTransport(id: string): boolean {
    return Object.values(this.#legs).some(({ transport }) => transport.id === id);
  }

  /** What a `Resume` says of this media. */
  held() {
    return {
      engineEpoch: this.epoch,
      transports: Object.values(this.#legs).map(({ transport: { id } }) => ({ id })),
      producers: [...this.outgoing.values()].map(({ producer: { id } }) => ({ id })),
      consumers: [...this.incoming.values()].map(({ consumer: { id } }) => ({ id })),
    };
  }

  getStats(direction: Direction): Promise<RTCStatsReport> {
    return this.#legs[direction].transport.getStats();
  }

  /** Ends it on this side. Work under way ends with `MediaClosed`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const leg of Object.values(this.#legs)) {
      clearTimeout(leg.timer);
      leg.transport.close();
    }
    this.outgoing.clear();
    this.incoming.clear();
    this.#reject(new MediaClosed('closed'));
  }

  /** Ends it on both sides, when the engine still has it. */
  closeEverywhere(): void {
    for (const { transport } of Object.values(this.#legs)) closeOnServer(this.#request, transport.id);
    this.close();
  }

  /** mediasoup-client leaves some promises open when a transport closes under them; these are not. */
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

/** Retransmission and in-band FEC cost little for a voice that arrives. */
function audioOptions({ opusStereo, opusDtx }: EncodingPolicy): types.ProducerCodecOptions {
  return { opusStereo, opusDtx, opusFec: true, opusNack: true };
}

/** A courtesy: what is not closed now goes when the session does. */
function closeOnServer(request: Request, transportId: string): void {
  request({ case: 'closeTransport', value: { transportId } }, 'ack').catch(() => undefined);
}
