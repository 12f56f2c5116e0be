// A small signaling server for tests of the call: it answers every request like a real one, records the
// requests, and sends the notifications that a test chooses. WebRTC is mediasoup-client's fake.

import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FakeMediaStreamTrack } from 'fake-mediastreamtrack';
import { Device, FakeHandler, testFakeParameters, type types } from 'mediasoup-client';
import { Server, type Socket } from 'socket.io';
import { ErrorCode, type JoinRoom, SignalSchema } from '../gen/signal_pb';
import { type Payload, type PayloadCase, type PayloadInit, type PayloadValue, PROTOCOL_VERSION } from './channel';
import { toRtpCapabilities, toRtpParameters } from './wire';

export { CallStoreFeed, createCallStore } from './call_store';
export { shared } from './share';

type Answer = PayloadInit | null;
type JoinedFields = Partial<Omit<PayloadValue<'joined'>, '$typeName' | '$unknown'>>;

const SCTP = { port: 5000, os: 1024, mis: 1024, maxMessageSize: 262_144 };

export class FakeServer {
  /** Every request so far, in order. */
  readonly asked: Payload[] = [];
  /** Answers that replace the usual ones; `null` leaves a request unanswered. */
  readonly instead: Partial<Record<PayloadCase, (payload: Payload, socket: string) => Answer>> = {};
  epoch = 'first';
  /** The number of sockets so far. */
  connections = 0;
  /** Fields of Joined in addition to the usual ones. */
  joined: JoinedFields = {};
  /** By data producer id, the labels of the channels of others. */
  readonly labels = new Map<string, string>();
  /** Relays that come with every transport and restart. */
  iceServers: { urls: string[]; username: string; credential: string }[] = [];

  readonly #answers: PayloadInit[] = [];
  readonly #http: HttpServer = createServer();
  readonly #io = new Server(this.#http);
  #nextId = 0;

  async listen(): Promise<string> {
    this.#io.on('connection', (socket) => {
      this.connections += 1;
      socket.on('signal', (bytes: Uint8Array, acknowledge: (bytes: Uint8Array) => void) => {
        const { payload } = fromBinary(SignalSchema, new Uint8Array(bytes));
        this.asked.push(payload);
        const custom = payload.case && this.instead[payload.case];
        const answer = custom ? custom(payload, socket.id) : this.#usual(payload);
        if (!answer) return;
        this.#answers.push(answer);
        acknowledge(encode(answer));
      });
    });
    await new Promise<void>((done) => this.#http.listen(0, '127.0.0.1', done));
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await this.#io.close();
  }

  tell(payload: PayloadInit): void {
    this.#io.emit('signal', encode(payload));
  }

  /** Sends all of them in one event. */
  tellTogether(...payloads: PayloadInit[]): void {
    this.tell({ case: 'batch', value: { signals: payloads.map(encode) } });
  }

  /** Cuts every connection, as a crash would. The server accepts new ones immediately. */
  cut(): void {
    for (const socket of this.#io.sockets.sockets.values()) (socket as Socket).conn.close();
  }

  /** The number of requests of a kind. */
  count(wanted: PayloadCase): number {
    return this.asked.filter((payload) => payload.case === wanted).length;
  }

  /** All answers of a kind, in the order of their requests. */
  answered<C extends PayloadCase>(wanted: C) {
    return this.#answers.flatMap((answer) => (answer.case === wanted ? [answer.value as Partial<PayloadValue<C>>] : []));
  }

  last<C extends PayloadCase>(wanted: C): PayloadValue<C> {
    const payload = this.asked.findLast((asked) => asked.case === wanted);
    if (!payload) throw new Error(`no request ${wanted}`);
    return payload.value as PayloadValue<C>;
  }

  /** Joined for a client that returns: the server has kept all its objects. */
  keepAll(join: JoinRoom, rest: JoinedFields = {}): PayloadInit {
    return {
      case: 'joined',
      value: {
        ...this.#usualJoined(join),
        resumed: true,
        keptTransports: join.resume?.transports.map(({ id }) => id),
        keptProducers: join.resume?.producers.map(({ id }) => id),
        keptConsumers: join.resume?.consumers.map(({ id }) => id),
        ...rest,
      },
    };
  }

  #usualJoined(join: JoinRoom) {
    return {
      peerId: join.resume?.peerId ?? 'me',
      resumeSecret: new Uint8Array([1, 2, 3]),
      room: join.room,
      displayName: join.displayName,
      routerCapabilities: toRtpCapabilities(testFakeParameters.generateRouterRtpCapabilities()),
      engineEpoch: this.epoch,
      ...this.joined,
    };
  }

  #usual(payload: Payload): Answer {
    const id = `id-${++this.#nextId}`;
    switch (payload.case) {
      case 'joinRoom':
        return { case: 'joined', value: this.#usualJoined(payload.value) };
      case 'createTransport': {
        const { iceParameters, dtlsParameters } = testFakeParameters.generateTransportRemoteParameters();
        const iceCandidates = [{ foundation: '1', priority: 1, address: '127.0.0.1', protocol: 'udp', port: 9, type: 'host' }];
        return {
          case: 'transportCreated',
          value: { id, iceParameters, iceCandidates, dtlsParameters, iceServers: this.iceServers, sctpParameters: SCTP },
        };
      }
      case 'produceMedia':
        return { case: 'producerCreated', value: { id } };
      case 'consumeMedia': {
        const { producerId } = payload.value;
        const mime = producerId.startsWith('audio') ? 'audio/opus' : 'video/VP8';
        const { kind, rtpParameters } = testFakeParameters.generateConsumerRemoteParameters({ id, codecMimeType: mime });
        // Video has three sizes and three frame rates.
        const encodings = (rtpParameters.encodings ?? []).map((encoding) =>
          kind === 'video' ? { ...encoding, scalabilityMode: 'L3T3' } : encoding,
        );
        const created = { id, producerId, kind, rtpParameters: toRtpParameters({ ...rtpParameters, encodings }), paused: true };
        return { case: 'consumerCreated', value: created };
      }
      case 'produceData':
        return { case: 'dataProducerCreated', value: { id } };
      case 'consumeData': {
        const { dataProducerId } = payload.value;
        // As a server chooses it: not the number that the producer has.
        const sctpStreamParameters = { streamId: 700 + this.count('consumeData'), ordered: true };
        const label = this.labels.get(dataProducerId) ?? '';
        return { case: 'dataConsumerCreated', value: { id, dataProducerId, sctpStreamParameters, label } };
      }
      case 'restartIce':
        return {
          case: 'iceRestarted',
          value: {
            iceParameters: testFakeParameters.generateTransportRemoteParameters().iceParameters,
            iceServers: this.iceServers,
          },
        };
      case 'refreshToken':
        return { case: 'tokenRefreshed', value: {} };
      default:
        return { case: 'ack', value: {} };
    }
  }
}

export function refusal(code: ErrorCode, message = ErrorCode[code], retryAfterMs = 0): PayloadInit {
  return { case: 'error', value: { code, message, retryAfterMs } };
}

/** A token without a valid signature. `issuedAt` is in milliseconds since 1970; `id` makes it differ from others. */
export function madeToken(issuedAt: number, lifetimeMs: number, id: string): string {
  const claims = { sub: 'ada', name: id, iat: issuedAt / 1_000, exp: (issuedAt + lifetimeMs) / 1_000 };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.c2lnbmF0dXJl`;
}

export function fakeTrack(kind: 'audio' | 'video'): MediaStreamTrack {
  return new FakeMediaStreamTrack({ kind }) as unknown as MediaStreamTrack;
}

/** Sets the connection state of a fake transport. */
export function setConnectionState(transport: types.Transport, state: types.ConnectionState): void {
  (transport.handler as FakeHandler).setConnectionState(state);
}

/** The channel of a fake data producer or data consumer. */
export class FakeChannel {
  /** Messages that were sent. */
  readonly sent: (string | Uint8Array)[] = [];
  readonly #channel: FakeDataChannel;

  constructor(end: types.DataProducer | types.DataConsumer) {
    this.#channel = (end as unknown as { _dataChannel: FakeDataChannel })._dataChannel;
    this.#channel.send = (data) => void this.sent.push(data);
  }

  get streamId(): number {
    return this.#channel.id;
  }

  get isClosed(): boolean {
    return this.#channel.readyState === 'closed';
  }

  open(): void {
    this.#channel._readyState = 'open';
    this.#channel.dispatchEvent({ type: 'open' });
  }

  receive(data: string | ArrayBuffer): void {
    this.#channel.dispatchEvent({ type: 'message', data });
  }
}

interface FakeDataChannel {
  readonly id: number;
  readonly readyState: RTCDataChannelState;
  _readyState: RTCDataChannelState;
  send(data: string | Uint8Array): void;
  dispatchEvent(event: object): void;
}

/** The part of an RTCRtpSender that switches encodings on and off. */
export class FakeSender {
  /** The arguments of `setParameters`, call by call. */
  readonly set: boolean[][] = [];
  #encodings: { active: boolean }[];

  constructor(encodings: readonly unknown[]) {
    this.#encodings = encodings.map(() => ({ active: true }));
  }

  getParameters() {
    return { encodings: this.#encodings.map((encoding) => ({ ...encoding })) };
  }

  async setParameters({ encodings }: { encodings: { active: boolean }[] }): Promise<void> {
    this.set.push(encodings.map(({ active }) => active));
    this.#encodings = encodings;
  }
}

/**
 * A device whose transports are connected as soon as they carry media. `made` is called with each of them.
 */
export async function fakeDevice(made: (transport: types.Transport) => void = () => undefined): Promise<Device> {
  const device = new Device({ handlerFactory: FakeHandler.createFactory(testFakeParameters) });
  device.observer.on('newtransport', (transport) => {
    made(transport);
    // A test may have set another state meanwhile.
    const isNew = () => !transport.closed && ['new', 'connecting'].includes(transport.connectionState);
    const connect = () => setTimeout(() => isNew() && setConnectionState(transport, 'connected'));
    transport.observer.on('newproducer', (producer) => {
      Object.defineProperty(producer, 'rtpSender', { value: new FakeSender(producer.rtpParameters.encodings ?? []) });
      connect();
    });
    transport.observer.on('newconsumer', connect);
    for (const event of ['newdataproducer', 'newdataconsumer'] as const) transport.observer.on(event, connect);
  });
  return device;
}

function encode(payload: PayloadInit): Uint8Array {
  return toBinary(SignalSchema, create(SignalSchema, { version: PROTOCOL_VERSION, payload }));
}
