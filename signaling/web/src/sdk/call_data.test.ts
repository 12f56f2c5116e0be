import { create } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode, GrantedPermissionsSchema, type JoinRoom, type Peer, PeerSchema } from '../gen/signal_pb';
import { Call } from './call';
import { DATA_MESSAGE_MAX, type DataSender } from './data_sender';
import { decode, encode } from './files/file_wire';
import { FakeChannel, FakeServer, fakeDevice, fakeTrack, refusal } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };
const soon = (check: () => unknown) => vi.waitFor(check, SOON);

let server: FakeServer;
let call: Call;
let view: CallView;
let notices: string[];
let heard: unknown[];
/** Of this client's channels, in the order of their creation. */
let producers: types.DataProducer[];
let outgoing: FakeChannel[];
let incoming: FakeChannel[];

beforeEach(async () => {
  server = new FakeServer();
  const url = await server.listen();
  [notices, heard, producers, outgoing, incoming] = [[], [], [], [], []];
  const onTransport = (transport: types.Transport) => {
    transport.observer.on('newdataproducer', (producer) => {
      producers.push(producer);
      outgoing.push(new FakeChannel(producer));
    });
    transport.observer.on('newdataconsumer', (consumer) => incoming.push(new FakeChannel(consumer)));
  };
  call = new Call(
    { room: 'millpond', url, makeDevice: () => fakeDevice(onTransport), requestTimeoutMs: 1_000 },
    {
      onView: (now) => {
        view = now;
      },
      onNotice: (text) => notices.push(text),
      onData: (...message) => heard.push(message),
    },
  );
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

/** Bob sends on these channels. */
function bob(channels: Record<string, string> = {}): Peer {
  for (const [id, label] of Object.entries(channels)) server.labels.set(id, label);
  const dataProducers = Object.entries(channels).map(([id, label]) => ({ id, label }));
  return create(PeerSchema, { id: 'bob', user: 'bob', displayName: 'Bob', dataProducers });
}

async function inCall(peer: Peer): Promise<void> {
  server.joined = { peers: [peer] };
  call.setSource('microphone', fakeTrack('audio'));
  call.join();
  await soon(() => expect(view.session).toBe('Connected'));
}

const loseEngine = () =>
  server.tellTogether(
    { case: 'mediaLost', value: { reason: 'it ended' } },
    { case: 'mediaReady', value: { engineEpoch: 'second' } },
  );
const states = (channel: DataSender) => soon(() => expect(channel.state).toBe('open'));
const opened = (count: number) =>
  soon(() => {
    expect(outgoing).toHaveLength(count);
    outgoing.at(-1)?.open();
  });

describe('the channel of a peer', () => {
  test('is received on the stream that the server names, and its messages reach the application', async () => {
    await inCall(bob({ d1: 'game' }));
    await soon(() => expect(incoming).toHaveLength(1));
    expect(incoming[0]?.streamId).toBe(701);
    incoming[0]?.receive('move');
    const bytes = new Uint8Array([1, 2]).buffer;
    incoming[0]?.receive(bytes);
    expect(heard).toEqual([
      ['bob', 'game', 'move'],
      ['bob', 'game', bytes],
    ]);
    expect(view.peers[0]).not.toHaveProperty('channels');
  });

  test('that is announced later is received, once, and ends with its data producer', async () => {
    await inCall(bob());
    server.labels.set('d1', 'game');
    const announce = { case: 'newDataProducer', value: { peerId: 'bob', dataProducer: { id: 'd1', label: 'game' } } } as const;
    server.tellTogether(announce, announce);
    await soon(() => expect(incoming).toHaveLength(1));
    server.tell({ case: 'dataProducerClosed', value: { peerId: 'bob', dataProducerId: 'd1' } });
    await soon(() => expect(incoming[0]?.isClosed).toBe(true));
    expect(server.count('consumeData')).toBe(1);
    incoming[0]?.receive('late');
    expect(heard).toEqual([]);
  });

  test('stays over a lost socket, and is received again from another engine', async () => {
    await inCall(bob({ d1: 'game' }));
    await soon(() => expect(incoming).toHaveLength(1));
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [bob({ d1: 'game' })] });
    server.cut();
    await soon(() => expect(server.count('joinRoom')).toBe(2));
    await soon(() => expect(view.online).toBe(true));
    expect(server.count('consumeData')).toBe(1);
    expect(incoming[0]?.isClosed).toBe(false);
    loseEngine();
    await soon(() => expect(incoming[0]?.isClosed).toBe(true));
    server.labels.set('d2', 'game');
    server.tell({ case: 'newDataProducer', value: { peerId: 'bob', dataProducer: { id: 'd2', label: 'game' } } });
    await soon(() => expect(incoming).toHaveLength(2));
    incoming[1]?.receive('again');
    expect(heard).toEqual([['bob', 'game', 'again']]);
  });

  test('that the engine does not forward is requested once, with one notice for all', async () => {
    server.instead.consumeData = () => refusal(ErrorCode.ENGINE_REFUSED);
    await inCall(bob({ d1: 'game', d2: 'game' }));
    await soon(() => expect(server.count('consumeData')).toBe(2));
    await soon(() => expect(notices).toEqual(['Files and data of some participants cannot be received here.']));
    // Further changes lead to further comparisons.
    for (const away of [true, false]) server.tell({ case: 'peerAway', value: { peerId: 'bob', away } });
    await soon(() => expect(view.peers[0]?.away).toBe(false));
    expect(server.count('consumeData')).toBe(2);
    expect(notices).toHaveLength(1);
    // New transports may be on its worker.
    delete server.instead.consumeData;
    const transportId = server.answered('transportCreated')[0]?.id;
    server.tell({ case: 'transportClosed', value: { transportId, reason: 'it failed' } });
    await soon(() => expect(incoming).toHaveLength(2));
  });

  test('of a later version of the SDK is not received', async () => {
    await inCall(bob({ d1: 'leat.later', d2: 'game' }));
    await soon(() => expect(incoming).toHaveLength(1));
    expect(server.last('consumeData').dataProducerId).toBe('d2');
    expect(server.count('consumeData')).toBe(1);
  });
});

describe('a channel of the application', () => {
  test('is produced with its receivers and limits, and closed on the server', async () => {
    await inCall(bob());
    const channel = call.openChannel('game', { to: ['bob'], ordered: false, maxRetransmits: 2 });
    expect(channel.state).toBe('opening');
    expect(() => channel.send('early')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    await opened(1);
    await states(channel);
    const { label, to, sctpStreamParameters } = server.last('produceData');
    expect({ label, to }).toEqual({ label: 'game', to: ['bob'] });
    expect(sctpStreamParameters).toMatchObject({ ordered: false, maxRetransmits: 2 });
    channel.send('move');
    channel.send(new Uint8Array([1, 2]).buffer);
    expect(outgoing[0]?.sent).toEqual(['move', new Uint8Array([1, 2])]);
    expect(() => channel.send('é'.repeat(DATA_MESSAGE_MAX / 2 + 1))).toThrow(expect.objectContaining({ code: 'LIMIT' }));
    channel.close();
    expect(channel.state).toBe('closed');
    await soon(() => expect(server.last('closeDataProducer').dataProducerId).toBe(producers[0]?.id));
  });

  test('opens again on new transports, and when the server has closed it', async () => {
    await inCall(bob());
    const seen: string[] = [];
    const channel = call.openChannel('game', { onState: (state) => seen.push(state) });
    await opened(1);
    await states(channel);
    loseEngine();
    await opened(2);
    await states(channel);
    const [, second] = producers;
    server.tell({ case: 'dataProducerClosed', value: { peerId: 'me', dataProducerId: second?.id } });
    await soon(() => expect(second?.closed).toBe(true));
    await opened(3);
    await states(channel);
    channel.send('still here');
    expect(outgoing[2]?.sent).toEqual(['still here']);
    expect(seen).toEqual(['open', 'opening', 'open', 'opening', 'open']);
    // The server knows that it has closed the second.
    expect(server.count('closeDataProducer')).toBe(0);
  });

  test('waits for signaling', async () => {
    await inCall(bob());
    server.instead.joinRoom = () => null;
    server.cut();
    await soon(() => expect(view.online).toBe(false));
    const channel = call.openChannel('game');
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [bob()] });
    await soon(() => expect(view.online).toBe(true));
    await opened(1);
    await states(channel);
    expect(server.count('produceData')).toBe(1);
  });

  test('that is refused is closed with the reason; a temporary refusal is tried again', async () => {
    await inCall(bob());
    server.instead.produceData = () =>
      server.count('produceData') === 1 ? refusal(ErrorCode.ENGINE_UNAVAILABLE) : refusal(ErrorCode.NO_SUCH_PEER);
    const channel = call.openChannel('game', { to: ['eve'] });
    await soon(() => expect(channel.state).toBe('closed'));
    expect(channel.error).toMatchObject({ code: 'NOT_FOUND' });
    expect(server.count('produceData')).toBe(2);
  });

  test('needs the permission, and a label that is not of the SDK', async () => {
    await inCall(bob());
    expect(() => call.openChannel('leat.files')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
    const permissions = create(GrantedPermissionsSchema, { canPublish: true, canSubscribe: true });
    server.instead.refreshToken = () => ({ case: 'tokenRefreshed', value: { permissions } });
    await call.refreshToken('less');
    expect(() => call.openChannel('game')).toThrow(expect.objectContaining({ code: 'PERMISSION_DENIED' }));
    expect(() => call.files.send(new File(['x'], 'x'), 'bob')).toThrow(expect.objectContaining({ code: 'PERMISSION_DENIED' }));
  });

  test('is closed by the end of the call', async () => {
    await inCall(bob());
    const channel = call.openChannel('game');
    await call.leave();
    expect(channel.state).toBe('closed');
    expect(() => call.openChannel('game')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});

describe('a file', () => {
  const kinds = (channel: FakeChannel | undefined) =>
    channel?.sent.map((message) => (typeof message === 'string' ? message : decode(message)?.signal?.kind));
  const isReady = (index: number) =>
    server.tell({
      case: 'peerMessage',
      value: { peerId: 'bob', topic: 'leat.files', body: new TextEncoder().encode(producers[index]?.id), direct: true },
    });

  test('is offered to its receiver, over a channel to that peer, when the peer receives the channel', async () => {
    await inCall(bob());
    const id = call.files.send(new File(['content'], 'plan.txt'), 'bob');
    expect(view.fileTransfers.get(id)).toMatchObject({ state: 'offered', direction: 'send', peerId: 'bob' });
    await opened(1);
    expect(server.last('produceData')).toMatchObject({ label: 'leat.files', to: ['bob'] });
    expect(kinds(outgoing[0])).toEqual([]);
    isReady(0);
    await soon(() => expect(kinds(outgoing[0])).toEqual(['offer']));
    call.files.cancel(id);
    expect(view.fileTransfers.get(id)?.state).toBe('cancelled');
    await call.files.remove(id);
    expect(view.fileTransfers.has(id)).toBe(false);
  });

  test('is offered again over new transports, and fails when the receiver leaves', async () => {
    await inCall(bob());
    const id = call.files.send(new File(['content'], 'plan.txt'), 'bob');
    await opened(1);
    loseEngine();
    await opened(2);
    isReady(1);
    await soon(() => expect(kinds(outgoing[1])).toContain('offer'));
    server.tell({ case: 'peerLeft', value: { peerId: 'bob' } });
    await soon(() => expect(view.fileTransfers.get(id)).toMatchObject({ state: 'failed', errorCode: 'PEER_LEFT' }));
    await soon(() => expect(outgoing[1]?.isClosed).toBe(true));
  });

  test('of a peer is shown, its channel is confirmed, and an answer goes back', async () => {
    await inCall(bob({ d1: 'leat.files' }));
    await soon(() => expect(incoming).toHaveLength(1));
    expect(server.count('sendMessage')).toBe(0);
    incoming[0]?.open();
    await soon(() => expect(server.last('sendMessage')).toMatchObject({ to: ['bob'], topic: 'leat.files' }));
    expect(new TextDecoder().decode(server.last('sendMessage').body)).toBe('d1');
    const id = crypto.randomUUID();
    const metadata = { name: 'plan.txt', type: '', size: 5, lastModified: 0 };
    const offer = encode(id, { kind: 'offer', metadata, chunkSize: 65_536, total: 1, toRoom: false });
    incoming[0]?.receive(offer.slice().buffer);
    expect(view.fileTransfers.get(id)).toMatchObject({ direction: 'receive', state: 'offered', peerId: 'bob' });
    // It is none of the application's messages.
    expect(heard).toEqual([]);
    await call.files.accept(id);
    await opened(1);
    isReady(0);
    await soon(() => expect(kinds(outgoing[0])).toContain('answer'));
    expect(view.fileTransfers.get(id)?.state).toBe('active');
  });
});
