// A whole call with encryption against a small signaling server: WebRTC and the worker are replaced.

import { create } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PeerSchema } from '../../gen/signal_pb';
import { Call } from '../call';
import type { CallOptions } from '../entry';
import { EncryptionUnavailable } from '../errors';
import { FakeChannel, FakeServer, fakeDevice, fakeTrack, setConnectionState } from '../testing';
import type { CallView } from '../view';
import { CallEncryption, type CallEncryptionOptions } from './call_encryption';
import { KEY_TOPIC } from './encryption';
import type { EncodedFrame } from './frame_crypto';
import { MemoryIdentityStore } from './identity_store';
import { DirectWorker, frame } from './testing';
import type { TransformOptions } from './worker';

const soon = (check: () => unknown) => vi.waitFor(check, { timeout: 30_000, interval: 10 });

/** Of the browser. */
class ScriptTransform {
  constructor(
    readonly worker: DirectWorker,
    readonly options: TransformOptions,
  ) {}
}

interface End {
  transform?: ScriptTransform;
}

/** A client with a server of its own, and what its WebRTC got. */
class Client {
  readonly server = new FakeServer();
  readonly workers: DirectWorker[] = [];
  readonly senders: End[] = [];
  readonly receivers: End[] = [];
  readonly transports: types.Transport[] = [];
  readonly channels: FakeChannel[] = [];
  readonly notices: string[] = [];
  readonly heard: unknown[][] = [];
  call!: Call;
  view!: CallView;

  constructor(readonly id: string) {}

  async start(options: Partial<CallOptions & CallEncryptionOptions> = {}): Promise<void> {
    const all: CallOptions & CallEncryptionOptions = {
      room: 'millpond',
      url: await this.server.listen(),
      identityStore: new MemoryIdentityStore(),
      makeDevice: () => fakeDevice((transport) => this.#onTransport(transport)),
      makeEncryptionWorker: () => {
        const worker = new DirectWorker();
        this.workers.push(worker);
        return worker as unknown as Worker;
      },
      ...options,
    };
    this.server.joined = { peerId: this.id, user: this.id, ...this.server.joined };
    this.call = new Call(all, {
      onView: (view) => {
        this.view = view;
      },
      onNotice: (text) => this.notices.push(text),
      onData: (...message) => this.heard.push(message),
    });
  }

  /** mediasoup-client's fake does not hand out senders and receivers. */
  #onTransport(transport: types.Transport): void {
    this.transports.push(transport);
    const { handler } = transport as unknown as { handler: types.HandlerInterface };
    const [send, receive] = [handler.send.bind(handler), handler.receive.bind(handler)];
    handler.send = async (options) => {
      const sender: End = {};
      options.onRtpSender?.(sender as unknown as RTCRtpSender);
      this.senders.push(sender);
      return send(options);
    };
    handler.receive = async (list) => {
      for (const options of list) {
        // mediasoup-client's own, for probes of bandwidth.
        if (options.trackId === 'probator') continue;
        const receiver: End = {};
        options.onRtpReceiver?.(receiver as unknown as RTCRtpReceiver);
        this.receivers.push(receiver);
      }
      return receive(list);
    };
    for (const event of ['newdataproducer', 'newdataconsumer'] as const) {
      transport.observer.on(event, (end) => {
        this.channels.push(new FakeChannel(end));
        setConnectionState(transport, 'connected');
      });
    }
  }

  async connected(): Promise<void> {
    await soon(() => expect(this.view?.session).toBe('Connected'));
  }

  /** The kinds of what is between the encoders, the decoders and the network. */
  get attached(): (TransformOptions | undefined)[] {
    return [...this.senders, ...this.receivers].map(({ transform }) => transform?.options);
  }

  async end(): Promise<void> {
    await this.call.leave();
    await this.server.close();
  }
}

/** The other peer of a room, as the server announces it. */
const peer = (id: string, producers: string[] = [], channels: string[] = []) =>
  create(PeerSchema, {
    id,
    user: id,
    displayName: id,
    producers: producers.map((producer) => ({ id: producer, kind: 'video', source: 'camera' })),
    dataProducers: channels.map((channel) => ({ id: channel, label: 'game' })),
  });

/** Messages to other clients that a server accepted. */
const messagesOf = ({ server }: Client) =>
  server.asked.flatMap((payload) => (payload.case === 'sendMessage' ? [payload.value] : []));

/** Each server passes messages on to the client of the other one. */
function connect(one: Client, other: Client): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.server.instead.sendMessage = ({ value }) => {
      const { topic, body } = value as { topic: string; body: Uint8Array };
      to.server.tell({ case: 'peerMessage', value: { peerId: from.id, topic, body, direct: true } });
      return { case: 'ack', value: {} };
    };
  }
}

let ada: Client;
let grace: Client;

beforeEach(() => {
  vi.stubGlobal('RTCRtpScriptTransform', ScriptTransform);
  [ada, grace] = [new Client('ada'), new Client('grace')];
});

afterEach(async () => {
  for (const client of [ada, grace]) if (client.call) await client.end();
  vi.unstubAllGlobals();
});

/** Both in one room, with the state `encrypted` for each other. */
async function inCall(options: Partial<CallOptions> = {}): Promise<void> {
  ada.server.joined = { peers: [peer('grace', ['video-grace'])] };
  grace.server.joined = { peers: [peer('ada', ['video-ada'])] };
  connect(ada, grace);
  for (const client of [ada, grace]) {
    await client.start({ encryption: 'always', ...options });
    client.call.setSource('camera', fakeTrack('video'));
    client.call.join();
  }
  for (const client of [ada, grace]) {
    await client.connected();
    await soon(() => expect(client.view.peers[0]?.encryption).toMatchObject({ state: 'encrypted', trust: 'new' }));
  }
}

/** What a transform of the sender makes of frames, and that of the receiver of these. */
async function carried(sender: Client, receiver: Client, text: string): Promise<string | null> {
  const [out, back] = [sender.senders[0]?.transform, receiver.receivers[0]?.transform];
  if (!out || !back?.options.peerId) throw new Error('no transform');
  const sealed: EncodedFrame[] = [];
  const opened: EncodedFrame[] = [];
  await out.worker.crypto.sealing(out.options)(frame(text), (passed) => sealed.push(passed));
  for (const { data } of sealed) expect(Buffer.from(data).includes(text)).toBe(false);
  for (const passed of sealed) {
    await back.worker.crypto.opening(back.options.peerId, back.options)(passed, (whole) => opened.push(whole));
  }
  return opened[0] ? new TextDecoder().decode(opened[0].data) : null;
}

describe('a call that encrypts always', () => {
  test('exchanges keys through the server, and each client decrypts the frames of the other', async () => {
    await inCall();
    expect(ada.view.encrypted).toBe(true);
    expect(new Set(messagesOf(ada).map(({ topic }) => topic))).toEqual(new Set([KEY_TOPIC]));
    const safetyNumber = ada.view.peers[0]?.encryption?.safetyNumber;
    expect(safetyNumber).toMatch(/^\d{5}( \d{5}){11}$/);
    expect(grace.view.peers[0]?.encryption?.safetyNumber).toBe(safetyNumber);
    await soon(() => expect(ada.receivers).toHaveLength(1));
    expect(ada.attached).toEqual([
      { peerId: null, source: 'camera', mimeType: 'video/VP8' },
      { peerId: 'grace', source: 'camera', mimeType: 'video/VP8' },
    ]);
    await soon(async () => expect(await carried(ada, grace, 'a picture of Ada')).toBe('a picture of Ada'));
    expect(grace.call.encryptionCounts('ada')?.opened).toBeGreaterThan(0);
  });

  test('one worker serves all tracks, and ends with the call', async () => {
    await inCall();
    ada.call.setSource('screen', fakeTrack('video'));
    await soon(() => expect(ada.senders).toHaveLength(2));
    expect(ada.workers).toHaveLength(1);
    await ada.call.leave();
    expect(ada.workers[0]?.terminated).toBe(true);
  });

  test('a safety number that a person has compared makes the peer verified', async () => {
    await inCall();
    ada.call.confirmSafetyNumber('grace');
    await soon(() => expect(ada.view.peers[0]?.encryption?.trust).toBe('verified'));
    expect(grace.view.peers[0]?.encryption?.trust).toBe('new');
  });

  test('another identity of a known user is reported in words', async () => {
    const identityStore = new MemoryIdentityStore();
    await identityStore.remember('grace', [{ fingerprint: 'of another device', verified: true }]);
    ada.server.joined = { peers: [peer('grace')] };
    grace.server.joined = { peers: [peer('ada')] };
    connect(ada, grace);
    await ada.start({ encryption: 'always', identityStore });
    await grace.start({ encryption: 'always' });
    for (const { call } of [ada, grace]) call.join();
    await soon(() => expect(ada.notices.join()).toMatch(/security key of grace has changed/));
    expect(ada.view.peers[0]?.encryption?.trust).toBe('changed');
    expect(grace.notices).toEqual([]);
  });

  test('messages of data channels are encrypted, and the other client reads them', async () => {
    await inCall();
    const channel = ada.call.openChannel('game');
    await soon(() => {
      expect(ada.channels).toHaveLength(1);
      ada.channels[0]?.open();
      expect(channel.state).toBe('open');
    });
    grace.server.labels.set('d1', 'game');
    grace.server.tell({ case: 'newDataProducer', value: { peerId: 'ada', dataProducer: { id: 'd1', label: 'game' } } });
    await soon(() => expect(grace.channels).toHaveLength(1));
    // A message that was sealed before the other has the key is lost: a new one each time.
    await soon(async () => {
      channel.send('a secret move');
      const sent = ada.channels[0]?.sent.at(-1);
      if (sent instanceof Uint8Array) grace.channels[0]?.receive(sent.slice().buffer);
      expect(grace.heard).toContainEqual(['ada', 'game', 'a secret move']);
    });
    for (const sent of ada.channels[0]?.sent ?? []) expect(Buffer.from(sent).includes('secret')).toBe(false);
    // Of a peer that does not encrypt.
    const before = grace.heard.length;
    grace.channels[0]?.receive('clear');
    grace.channels[0]?.receive(new TextEncoder().encode('\u0001clear').buffer);
    await new Promise((done) => setTimeout(done, 50));
    expect(grace.heard.slice(before).flat()).not.toContain('clear');
  });
});

describe('a call that encrypts as its room', () => {
  const policy = (encrypted: boolean) => ({ case: 'roomChanged', value: { policy: { encrypted } } }) as const;

  test('sends clear media in a room without encryption, and has no worker', async () => {
    ada.server.joined = { peers: [peer('grace', ['video-grace'])] };
    await ada.start();
    ada.call.setSource('camera', fakeTrack('video'));
    ada.call.join();
    await ada.connected();
    await soon(() => expect(ada.receivers).toHaveLength(1));
    expect(ada.view.encrypted).toBe(false);
    expect(ada.view.peers[0]?.encryption).toBeNull();
    expect(ada.attached).toEqual([undefined, undefined]);
    expect(ada.workers).toEqual([]);
    expect(ada.call.encryptionCounts('grace')).toBeNull();
  });

  test('encrypts from the first frame in a room with encryption', async () => {
    ada.server.joined = { policy: { encrypted: true } as never };
    await ada.start();
    ada.call.setSource('camera', fakeTrack('video'));
    ada.call.join();
    await ada.connected();
    expect(ada.view.encrypted).toBe(true);
    expect(ada.attached).toEqual([{ peerId: null, source: 'camera', mimeType: 'video/VP8' }]);
  });

  test('replaces all media once the room is encrypted, and stays encrypted when the server takes that back', async () => {
    await ada.start();
    ada.call.setSource('camera', fakeTrack('video'));
    ada.call.join();
    await ada.connected();
    const clear = [...ada.transports];
    ada.server.joined = { ...ada.server.joined, policy: { encrypted: true } as never };
    ada.server.tell(policy(true));
    await soon(() => expect(ada.senders).toHaveLength(2));
    await ada.connected();
    expect(clear.every((transport) => transport.closed)).toBe(true);
    expect(ada.attached).toEqual([undefined, { peerId: null, source: 'camera', mimeType: 'video/VP8' }]);

    ada.server.joined = { ...ada.server.joined, policy: { encrypted: false } as never };
    ada.server.tell(policy(false));
    ada.call.setSource('screen', fakeTrack('video'));
    await soon(() => expect(ada.senders).toHaveLength(3));
    expect(ada.view.encrypted).toBe(true);
    expect(ada.attached.at(-1)).toMatchObject({ source: 'screen' });
    expect(ada.workers).toHaveLength(1);
  });
});

describe('a browser that cannot encrypt', () => {
  test('does not send in an encrypted room, and the call ends with the reason', async () => {
    vi.unstubAllGlobals();
    ada.server.joined = { policy: { encrypted: true } as never };
    await ada.start({ makeEncryptionWorker: undefined });
    ada.call.setSource('camera', fakeTrack('video'));
    ada.call.join();
    await soon(() => expect(ada.view.session).toBe('Ended'));
    expect(ada.view.failure).toBeInstanceOf(EncryptionUnavailable);
    expect(ada.view.failure).toMatchObject({ code: 'ENCRYPTION_UNAVAILABLE' });
    expect(ada.server.count('produceMedia')).toBe(0);
  });

  test('does not send a source whose sender cannot be protected', async () => {
    vi.unstubAllGlobals();
    await ada.start({ encryption: 'always' });
    ada.call.setSource('camera', fakeTrack('video'));
    ada.call.join();
    await soon(() => expect(ada.server.count('createTransport')).toBeGreaterThanOrEqual(2));
    await soon(() => expect(ada.call.history.map(({ what }) => what).join()).toMatch(/cannot encrypt/));
    expect(ada.senders).toEqual([]);
    expect(ada.server.count('produceMedia')).toBe(0);
  });
});

test('messages of other topics do not belong to the exchange of keys', () => {
  const none = () => undefined;
  const events = { send: async () => undefined, onChange: none, onNotice: none, onKey: none, note: none };
  const encryption = new CallEncryption({}, events);
  expect(encryption.onMessage('grace', 'chat', new Uint8Array())).toBe(false);
  // Also while the call is not encrypted: the application does not get it.
  expect(encryption.onMessage('grace', KEY_TOPIC, new Uint8Array())).toBe(true);
  expect([encryption.isOn, encryption.protection, encryption.dataCipher, encryption.stateOf('grace')]).toEqual([
    false,
    null,
    null,
    null,
  ]);
});
