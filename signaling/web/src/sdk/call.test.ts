import { create, fromBinary } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode, GoodbyeSchema, type JoinRoom, type Peer, PeerSchema, PresenceState } from '../gen/signal_pb';
import { Call } from './call';
import { FakeServer, fakeDevice, fakeTrack, refusal, setConnectionState } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };

let server: FakeServer;
let url: string;
let call: Call;
let view: CallView;
let notices: string[];
let transports: types.Transport[];

beforeEach(async () => {
  server = new FakeServer();
  url = await server.listen();
  notices = [];
  transports = [];
  call = new Call(
    {
      room: 'millpond',
      displayName: 'Ada',
      token: 'secret',
      url,
      makeDevice: () => fakeDevice((transport) => transports.push(transport)),
      requestTimeoutMs: 1_000,
    },
    {
      onView: (now) => {
        view = now;
      },
      onNotice: (text) => notices.push(text),
    },
  );
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

const bob = (...producers: string[]): Peer =>
  create(PeerSchema, {
    id: 'bob',
    displayName: 'Bob',
    producers: producers.map((id) => ({ id, kind: id.startsWith('audio') ? 'audio' : 'video', source: 'camera' })),
  });

const session = (state: string) => vi.waitFor(() => expect(view.session).toBe(state), SOON);
const tracks = () => view.peers.flatMap((peer) => peer.sources.map(({ track }) => track));
const receiving = (count: number) =>
  vi.waitFor(() => {
    expect(tracks().filter(Boolean)).toHaveLength(count);
    expect(server.count('resumeConsumer')).toBeGreaterThanOrEqual(count);
  }, SOON);

/** In a call with Bob, both sending. */
async function inCall(): Promise<void> {
  server.joined = { peers: [bob('audio-1', 'video-1')] };
  call.setSource('microphone', fakeTrack('audio'));
  call.setSource('camera', fakeTrack('video'));
  call.join();
  await session('Connected');
  await receiving(2);
}

describe('joining', () => {
  test('creates transports, producers and consumers in the order of the protocol', async () => {
    await inCall();
    expect(server.asked[0]?.case).toBe('joinRoom');
    expect(server.last('joinRoom')).toMatchObject({ room: 'millpond', displayName: 'Ada', token: 'secret' });
    expect(server.last('joinRoom').resume).toBe(undefined);
    expect(server.last('joinRoom').takeOver).toBe(true);
    expect(server.count('createTransport')).toBe(2);
    expect(server.count('connectTransport')).toBe(2);
    expect(server.count('produceMedia')).toBe(2);
    expect(server.count('consumeMedia')).toBe(2);
  });

  test('a muted microphone is announced muted', async () => {
    call.setSource('microphone', fakeTrack('audio'), true);
    call.join();
    await session('Connected');
    expect(server.last('produceMedia')).toMatchObject({ source: 'microphone', paused: true });
    expect(server.count('pauseProducer')).toBe(0);
  });

  test('without devices, the others are still received', async () => {
    server.joined = { peers: [bob('video-1')] };
    call.join();
    await session('Connected');
    await receiving(1);
    expect(server.count('produceMedia')).toBe(0);
  });

  test('a refused token ends the call with the server’s reason, without another try', async () => {
    server.instead.joinRoom = () => refusal(ErrorCode.TOKEN_EXPIRED, 'The token expired at noon.');
    call.join();
    await session('Ended');
    expect(view.failure?.message).toBe('The token expired at noon.');
    await new Promise((done) => setTimeout(done, 50));
    expect(server.count('joinRoom')).toBe(1);
  });

  test('an answer that does not arrive in time leads to a new socket', async () => {
    const sockets = new Set<string>();
    server.instead.joinRoom = ({ value }, socket) => {
      sockets.add(socket);
      return sockets.size === 1 ? null : server.keepAll(value as JoinRoom, { resumed: false });
    };
    call.join();
    await session('Connected');
    expect(sockets.size).toBe(2);
    expect(server.count('joinRoom')).toBe(2);
    // On the old socket, on which the server may already have accepted the join.
    expect(server.count('leave')).toBe(1);
  });

  test('without an engine it waits for one', async () => {
    server.epoch = '';
    call.setSource('camera', fakeTrack('video'));
    call.join();
    await session('Negotiating');
    expect(server.count('createTransport')).toBe(0);
    server.tell({ case: 'mediaReady', value: { engineEpoch: 'first' } });
    await session('Connected');
  });

  test('a notification that arrives before Joined is not lost', async () => {
    server.instead.joinRoom = ({ value }) => {
      server.tell({ case: 'peerJoined', value: { peer: bob('video-1') } });
      return server.keepAll(value as JoinRoom, { resumed: false, peers: [] });
    };
    call.join();
    await receiving(1);
  });
});

describe('notifications', () => {
  test('in one event are applied in order, and a malformed one is skipped alone', async () => {
    await inCall();
    const malformed = { case: 'batch' as const, value: { signals: [new Uint8Array([0xff])] } };
    server.tell(malformed);
    server.tellTogether(
      { case: 'peerAway', value: { peerId: 'bob', away: true } },
      { case: 'peerJoined', value: { peer: { id: 'eve', displayName: 'Eve' } } },
      { case: 'peerAway', value: { peerId: 'eve', away: true } },
    );
    await vi.waitFor(
      () =>
        expect(view.peers.map(({ id, away }) => [id, away])).toEqual([
          ['bob', true],
          ['eve', true],
        ]),
      SOON,
    );
    expect(call.history.some(({ what }) => what.startsWith('skipped a malformed notification'))).toBe(true);
  });
});

describe('who speaks', () => {
  const report = (...peers: string[]) =>
    server.tell({
      case: 'activeSpeakers',
      value: { volumes: peers.map((peerId) => ({ peerId, producerId: `audio of ${peerId}`, dbov: -20 })) },
    });
  const speaking = (...peers: string[]) => vi.waitFor(() => expect([...view.speaking]).toEqual(peers), SOON);

  test('is what the server reports about the others; only the own microphone is read in the browser', async () => {
    await inCall();
    const recv = transports.find(({ direction }) => direction === 'recv') as types.Transport;
    const picture = new Map([['video', { type: 'inbound-rtp', kind: 'video', framesDecoded: 1 }]]);
    const getStats = vi.spyOn(recv, 'getStats').mockResolvedValue(picture as unknown as RTCStatsReport);
    // The first picture is looked for until it is there.
    await vi.waitFor(() => expect(getStats).toHaveBeenCalled(), SOON);
    getStats.mockClear();
    report('bob', 'me');
    await speaking('bob');
    report('me');
    await speaking();
    expect(getStats).not.toHaveBeenCalled();
  });

  test('is not known while the socket or the engine is away', async () => {
    await inCall();
    report('bob');
    await speaking('bob');
    server.cut();
    await speaking();
    await vi.waitFor(() => expect(view.online).toBe(true), SOON);
    report('bob');
    await speaking('bob');
    server.tell({ case: 'mediaLost', value: {} });
    await speaking();
  });
});

describe('a token that does not allow', () => {
  test('to send: a notice for each source, and the others are received', async () => {
    server.instead.produceMedia = () => refusal(ErrorCode.TOKEN_PERMISSION);
    await inCall();
    expect(notices.sort()).toEqual([
      'You may not send your camera in this room.',
      'You may not send your microphone in this room.',
    ]);
    expect([...view.local.keys()]).toEqual([]);
    server.tell({ case: 'peerAway', value: { peerId: 'bob', away: true } });
    await vi.waitFor(() => expect(view.peers[0]?.away).toBe(true), SOON);
    expect(server.count('produceMedia')).toBe(2);
    expect(server.count('createTransport')).toBe(2);
  });

  test('to receive: one notice, and this client still sends', async () => {
    server.instead.consumeMedia = () => refusal(ErrorCode.TOKEN_PERMISSION);
    server.joined = { peers: [bob('audio-1', 'video-1')] };
    call.setSource('camera', fakeTrack('video'));
    call.join();
    await session('Connected');
    await vi.waitFor(() => expect(view.peers[0]?.sources.map(({ unplayable }) => unplayable)).toEqual([true, true]), SOON);
    expect(notices).toEqual(['You may not see and hear the others in this room.']);
    server.tell({ case: 'peerAway', value: { peerId: 'bob', away: true } });
    await vi.waitFor(() => expect(view.peers[0]?.away).toBe(true), SOON);
    expect(server.count('consumeMedia')).toBe(2);
    expect(server.count('produceMedia')).toBe(1);
    expect(view.session).toBe('Connected');
  });
});

test('activity is reported while the client is in the room, and after a return at once', async () => {
  call.reportActivity();
  await inCall();
  expect(server.count('setPresence')).toBe(0);
  for (let event = 0; event < 100; event++) call.reportActivity();
  await vi.waitFor(() => expect(server.count('setPresence')).toBe(1), SOON);
  expect(server.last('setPresence').state).toBe(PresenceState.ACTIVE);
  server.cut();
  await vi.waitFor(() => expect(server.count('joinRoom')).toBe(2), SOON);
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  call.reportActivity();
  await vi.waitFor(() => expect(server.count('setPresence')).toBe(2), SOON);
});

test('a limit without a pause is final for a source, a limit with a pause is not', async () => {
  const answers = [refusal(ErrorCode.LIMIT, 'too many messages', 400), undefined, refusal(ErrorCode.LIMIT, 'too many producers')];
  const askedAt: number[] = [];
  server.instead.produceMedia = () => {
    askedAt.push(Date.now());
    return answers.shift() ?? { case: 'producerCreated', value: { id: `p-${askedAt.length}` } };
  };
  call.setSource('camera', fakeTrack('video'));
  call.join();
  await session('Connected');
  expect(server.count('produceMedia')).toBe(2);
  // Timers and the clock round differently.
  expect((askedAt[1] ?? 0) - (askedAt[0] ?? 0)).toBeGreaterThanOrEqual(395);
  expect(notices).toEqual([]);
  call.setSource('screen', fakeTrack('video'));
  await vi.waitFor(() => expect(notices).toEqual(['The server does not accept your screen.']), SOON);
  expect([...view.local.keys()]).toEqual(['camera']);
});

describe('other peers', () => {
  test('join, send, pause and leave', async () => {
    call.join();
    await session('Connected');
    server.tell({ case: 'peerJoined', value: { peer: bob() } });
    server.tell({ case: 'newProducer', value: { peerId: 'bob', producer: { id: 'video-1', kind: 'video', source: 'camera' } } });
    await receiving(1);
    server.tell({ case: 'producerPaused', value: { peerId: 'bob', producerId: 'video-1' } });
    await vi.waitFor(() => expect(view.peers[0]?.sources[0]?.paused).toBe(true), SOON);
    server.tell({ case: 'producerClosed', value: { peerId: 'bob', producerId: 'video-1' } });
    await vi.waitFor(() => expect(view.peers[0]?.sources).toEqual([]), SOON);
    server.tell({ case: 'peerLeft', value: { peerId: 'bob' } });
    await vi.waitFor(() => expect(view.peers).toEqual([]), SOON);
  });

  test('a producer that is gone when it is requested is removed', async () => {
    server.instead.consumeMedia = () => refusal(ErrorCode.NO_SUCH_PRODUCER);
    server.joined = { peers: [bob('video-1')] };
    call.join();
    await vi.waitFor(() => expect(server.count('consumeMedia')).toBe(1), SOON);
    await vi.waitFor(() => expect(view.peers[0]?.sources).toEqual([]), SOON);
    expect(notices).toEqual([]);
  });

  test('a codec that this browser cannot play gives one notice, without another request', async () => {
    server.instead.consumeMedia = () => refusal(ErrorCode.CANNOT_CONSUME);
    server.joined = { peers: [bob('video-1')] };
    call.join();
    await vi.waitFor(() => expect(notices).toEqual(['This browser cannot play the camera of Bob.']), SOON);
    server.tell({ case: 'peerAway', value: { peerId: 'bob', away: true } });
    await vi.waitFor(() => expect(view.peers[0]?.away).toBe(true), SOON);
    expect(server.count('consumeMedia')).toBe(1);
  });

  test('a temporary refusal is tried again', async () => {
    let refused = 0;
    server.instead.resumeConsumer = () => {
      if (refused++ === 0) return refusal(ErrorCode.ENGINE_REFUSED);
      return { case: 'ack', value: {} };
    };
    server.joined = { peers: [bob('video-1')] };
    call.join();
    await vi.waitFor(() => expect(server.count('resumeConsumer')).toBe(2), SOON);
    expect(server.count('consumeMedia')).toBe(1);
  });
});

describe('when the socket is lost', () => {
  beforeEach(inCall);

  test('the resume lists all objects, and media is not touched', async () => {
    const before = tracks();
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [bob('audio-1', 'video-1')] });
    server.cut();
    await vi.waitFor(() => expect(view.online).toBe(false), SOON);
    expect(view.session).toBe('Connected');
    await vi.waitFor(() => expect(view.online).toBe(true), SOON);

    const { resume, takeOver } = server.last('joinRoom');
    expect(takeOver).toBe(false);
    expect(resume).toMatchObject({ peerId: 'me', engineEpoch: 'first' });
    expect([...(resume?.secret ?? [])]).toEqual([1, 2, 3]);
    const ids = (objects: { id?: string }[] = []) => objects.map(({ id }) => id).sort();
    expect(ids(resume?.transports)).toEqual(ids(server.answered('transportCreated')));
    expect(ids(resume?.producers)).toEqual(ids(server.answered('producerCreated')));
    expect(ids(resume?.consumers)).toEqual(ids(server.answered('consumerCreated')));
    expect([resume?.transports.length, resume?.producers.length, resume?.consumers.length]).toEqual([2, 2, 2]);

    expect(tracks()).toEqual(before);
    expect([server.count('createTransport'), server.count('produceMedia'), server.count('consumeMedia')]).toEqual([2, 2, 2]);
    expect(view.session).toBe('Connected');
  });

  test('a peer that is not back yet keeps its consumers, without another request', async () => {
    const before = tracks();
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [] });
    server.cut();
    await vi.waitFor(() => expect(view.peers[0]?.away).toBe(true), SOON);
    expect(tracks()).toEqual(before);
    server.tell({ case: 'peerJoined', value: { peer: bob('audio-1', 'video-1') } });
    await vi.waitFor(() => expect(view.peers[0]?.away).toBe(false), SOON);
    expect(tracks()).toEqual(before);
    expect(server.count('consumeMedia')).toBe(2);
  });

  test('objects that the server lost are created again, new ones are requested, closed ones are removed', async () => {
    server.instead.joinRoom = ({ value }) => {
      // Requests are sent one after the other, and answered in the same order.
      const sources = server.asked.flatMap((asked) => (asked.case === 'produceMedia' ? [asked.value.source] : []));
      const microphone = server.answered('producerCreated')[sources.indexOf('microphone')]?.id ?? '';
      return server.keepAll(value as JoinRoom, {
        peers: [bob('video-2')],
        keptProducers: [microphone],
        keptConsumers: [],
      });
    };
    server.cut();
    await vi.waitFor(() => expect(server.count('produceMedia')).toBe(3), SOON);
    expect(server.last('produceMedia').source).toBe('camera');
    await receiving(1);
    expect(view.peers[0]?.sources.map(({ id }) => id)).toEqual(['video-2']);
    expect(server.count('createTransport')).toBe(2);
  });

  test('a mute without a socket reaches the server after the resume', async () => {
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [bob('audio-1', 'video-1')] });
    server.cut();
    await vi.waitFor(() => expect(view.online).toBe(false), SOON);
    call.setPaused('microphone', true);
    await vi.waitFor(() => expect(server.count('pauseProducer')).toBe(1), SOON);
  });

  test('a refused resume secret leads to a join as a new client', async () => {
    server.instead.joinRoom = ({ value }) =>
      (value as JoinRoom).resume ? refusal(ErrorCode.RESUME_SECRET) : server.keepAll(value as JoinRoom, { resumed: false });
    server.cut();
    await vi.waitFor(() => expect(server.count('joinRoom')).toBe(3), SOON);
    await receiving(2);
    await session('Connected');
    expect(server.count('createTransport')).toBe(4);
  });

  test('a resume refused as a second join is repeated on another socket, and media is not touched', async () => {
    const before = tracks();
    const sockets = new Set<string>();
    server.instead.joinRoom = ({ value }, socket) => {
      sockets.add(socket);
      if (sockets.size === 1) return refusal(ErrorCode.WRONG_STATE);
      return server.keepAll(value as JoinRoom, { peers: [bob('audio-1', 'video-1')] });
    };
    server.cut();
    await vi.waitFor(() => expect(sockets.size).toBe(2), SOON);
    await vi.waitFor(() => expect(view.online).toBe(true), SOON);
    expect(tracks()).toEqual(before);
    expect(server.count('leave')).toBe(0);
    expect(server.count('createTransport')).toBe(2);
  });

  test('a server without its session is joined as by a new client', async () => {
    server.epoch = 'second';
    server.cut();
    await vi.waitFor(() => expect(server.count('createTransport')).toBe(4), SOON);
    await receiving(2);
    await session('Connected');
    expect(server.count('produceMedia')).toBe(4);
  });
});

describe('when a transport cannot be connected', () => {
  beforeEach(() => {
    server.instead.joinRoom = ({ value }) =>
      server.keepAll(value as JoinRoom, {
        resumed: Boolean((value as JoinRoom).resume),
        peers: [bob('audio-1', 'video-1')],
      });
    call.setSource('microphone', fakeTrack('audio'));
    call.setSource('camera', fakeTrack('video'));
  });

  test('because the socket was lost, it is dropped, and the next ones work', async () => {
    server.instead.connectTransport = () => {
      server.instead.connectTransport = undefined;
      server.cut();
      return null;
    };
    call.join();
    await vi.waitFor(() => expect(server.count('createTransport')).toBe(4), SOON);
    expect(server.last('joinRoom').resume).toMatchObject({ peerId: 'me', transports: [], producers: [], consumers: [] });
    await session('Connected');
    await receiving(2);
    expect(notices).toEqual([]);
  });

  test('because the server refused, it is closed, and the next ones work', async () => {
    server.instead.connectTransport = () => {
      server.instead.connectTransport = undefined;
      return refusal(ErrorCode.ENGINE_REFUSED);
    };
    call.join();
    await vi.waitFor(() => expect(server.count('createTransport')).toBe(4), SOON);
    expect(server.count('closeTransport')).toBe(2);
    await session('Connected');
    await receiving(2);
  });

  test('repeatedly, the pauses grow, and one notice names the first error', async () => {
    server.instead.connectTransport = () => refusal(ErrorCode.ENGINE_REFUSED, 'No port is free.');
    call.join();
    await vi.waitFor(() => expect(notices).toEqual(['No port is free. Still trying.']), SOON);
    expect(server.count('createTransport')).toBe(6);
    expect(view.session).toBe('Negotiating');
  });
});

describe('when the engine is lost', () => {
  beforeEach(inCall);

  test('it waits, and then creates everything again on the same socket', async () => {
    server.tell({ case: 'mediaLost', value: { reason: 'engine exited' } });
    await session('Reconnecting');
    expect(view.peers.map(({ sources }) => sources)).toEqual([[]]);
    expect([...view.local.keys()]).toEqual(['microphone', 'camera']);

    server.tell({ case: 'mediaReady', value: { engineEpoch: 'second' } });
    server.tell({ case: 'newProducer', value: { peerId: 'bob', producer: { id: 'video-9', kind: 'video', source: 'camera' } } });
    await session('Connected');
    await receiving(1);
    expect(server.count('joinRoom')).toBe(1);
    expect(server.count('createTransport')).toBe(4);
    expect(server.count('produceMedia')).toBe(4);
    expect(view.failure).toBe(null);
  });

  test('a request that is lost with the engine does not delay the next one', async () => {
    server.instead.createTransport = () => null;
    server.tell({ case: 'mediaLost', value: {} });
    server.tell({ case: 'mediaReady', value: { engineEpoch: 'second' } });
    await vi.waitFor(() => expect(server.count('createTransport')).toBe(4), SOON);
    server.tell({ case: 'mediaLost', value: {} });
    server.instead.createTransport = undefined;
    server.tell({ case: 'mediaReady', value: { engineEpoch: 'third' } });
    await session('Connected');
  });

  test('a transport that the server closed is replaced', async () => {
    const { transportId } = server.last('produceMedia');
    server.tell({ case: 'transportClosed', value: { transportId, reason: 'consent ended' } });
    await vi.waitFor(() => expect(server.count('createTransport')).toBe(4), SOON);
    await session('Connected');
    await receiving(2);
  });
});

describe('when ICE loses the path', () => {
  beforeEach(inCall);

  const recv = () => transports.findLast(({ direction }) => direction === 'recv') as types.Transport;

  test('a failed transport has its ICE restarted and keeps its consumers', async () => {
    const before = tracks();
    setConnectionState(recv(), 'failed');
    await session('Reconnecting');
    await vi.waitFor(() => expect(server.count('restartIce')).toBe(1), SOON);
    expect(server.last('restartIce').transportId).toBe(recv().id);
    setConnectionState(recv(), 'connected');
    await session('Connected');
    expect(tracks()).toEqual(before);
    expect(server.count('createTransport')).toBe(2);
  });

  test('a restart gathers with the relays and the credential of its answer', async () => {
    const order: string[] = [];
    const update = vi.spyOn(recv(), 'updateIceServers').mockImplementation(async () => void order.push('update'));
    vi.spyOn(recv(), 'restartIce').mockImplementation(async () => void order.push('restart'));
    const urls = ['turn:192.0.2.1:3478?transport=udp'];
    const fresh = { urls, username: '1800000600:ada', credential: 'later' };
    server.iceServers = [fresh];
    setConnectionState(recv(), 'failed');
    await vi.waitFor(() => expect(order).toEqual(['update', 'restart']), SOON);
    expect(update).toHaveBeenCalledWith({ iceServers: [fresh] });
  });

  test('a restart without relays does not update them', async () => {
    const update = vi.spyOn(recv(), 'updateIceServers');
    setConnectionState(recv(), 'failed');
    await vi.waitFor(() => expect(server.count('restartIce')).toBe(1), SOON);
    setConnectionState(recv(), 'connected');
    await session('Connected');
    expect(update).not.toHaveBeenCalled();
  });

  test('a short disconnection leads to no restart', async () => {
    setConnectionState(recv(), 'disconnected');
    await session('Reconnecting');
    setConnectionState(recv(), 'connected');
    await session('Connected');
    expect(server.count('restartIce')).toBe(0);
  });

  test('a restart of a transport that the server does not know leads to new transports', async () => {
    server.instead.restartIce = () => refusal(ErrorCode.NO_SUCH_TRANSPORT);
    setConnectionState(recv(), 'failed');
    await vi.waitFor(() => expect(server.count('createTransport')).toBe(4), SOON);
    await session('Connected');
    await receiving(2);
  });
});

test('leave sends a request', async () => {
  await inCall();
  await call.leave();
  expect(view.session).toBe('Ended');
  expect(view.failure).toBe(null);
  expect(server.count('leave')).toBe(1);
});

describe('a page that is closing', () => {
  let beacons: [string, Uint8Array][];
  beforeEach(() => {
    beacons = [];
    vi.stubGlobal('navigator', { sendBeacon: (to: URL, body: Uint8Array) => beacons.push([to.href, body]) });
  });
  afterEach(() => vi.unstubAllGlobals());

  test('sends a beacon beside the message on its socket', async () => {
    await inCall();
    call.abandon();
    expect(view.session).toBe('Ended');
    expect(beacons.map(([to]) => to)).toEqual([`${url}/leave`]);
    const { peerId, secret } = fromBinary(GoodbyeSchema, beacons[0]?.[1] ?? new Uint8Array());
    expect([peerId, [...secret]]).toEqual(['me', [1, 2, 3]]);
  });

  test('sends no beacon before it has joined or after it has left', async () => {
    call.abandon();
    expect(beacons).toEqual([]);
    await call.leave();
    call.abandon();
    expect(beacons).toEqual([]);
  });
});

test('an evicted client does not join again', async () => {
  await inCall();
  server.tell({ case: 'evicted', value: { reason: 'You joined from another window.' } });
  await session('Ended');
  expect(view.failure?.message).toBe('You joined from another window.');
  await new Promise((done) => setTimeout(done, 300));
  expect(server.count('joinRoom')).toBe(1);
});
