import { create } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PeerSchema } from '../gen/signal_pb';
import { Call } from './call';
import { FakeServer, fakeDevice, fakeTrack } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };

let server: FakeServer;
let call: Call;
let view: CallView;
let producers: types.Producer[];
let notices: string[];
/** The answer of the application to a device that stopped. */
let replacement: MediaStreamTrack | null;

beforeEach(async () => {
  server = new FakeServer();
  [producers, notices, replacement] = [[], [], null];
  const watch = (transport: types.Transport) => {
    transport.observer.on('newproducer', (producer) => producers.push(producer));
  };
  call = new Call(
    { room: 'millpond', url: await server.listen(), makeDevice: () => fakeDevice(watch) },
    {
      onView: (now) => {
        view = now;
      },
      onNotice: (_, { code }) => notices.push(code),
      onSourceStopped: async () => replacement,
    },
  );
  const producersOfBob = ['audio-1', 'video-1'].map((id) => ({ id, kind: id.slice(0, 5), source: id.slice(0, 5) }));
  server.joined = { peers: [create(PeerSchema, { id: 'bob', displayName: 'Bob', producers: producersOfBob })] };
  call.setSource('microphone', fakeTrack('audio'));
  call.join();
  await vi.waitFor(() => expect(view.session).toBe('Connected'), SOON);
  await vi.waitFor(() => expect(server.count('resumeConsumer')).toBe(2), SOON);
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

const videoOfBob = () => view.peers[0]?.sources.find(({ kind }) => kind === 'video');

describe('a source', () => {
  test('with the track of another device keeps its producer', async () => {
    const other = fakeTrack('audio');
    call.setSource('microphone', other);
    await vi.waitFor(() => expect(producers[0]?.track).toBe(other), SOON);
    expect(server.count('produceMedia')).toBe(1);
    expect(server.count('closeProducer')).toBe(0);
  });

  test('whose device stops continues with the track of the application', async () => {
    replacement = fakeTrack('audio');
    producers[0]?.emit('trackended');
    await vi.waitFor(() => expect(producers[0]?.track).toBe(replacement), SOON);
    expect(view.local.get('microphone')?.track).toBe(replacement);
    expect([server.count('produceMedia'), server.count('closeProducer'), notices]).toEqual([1, 0, []]);
  });

  test('whose device stops ends without another track, with a notice', async () => {
    producers[0]?.emit('trackended');
    await vi.waitFor(() => expect(server.count('closeProducer')).toBe(1), SOON);
    expect([...view.local.keys()]).toEqual([]);
    expect(notices).toEqual(['SOURCE_STOPPED']);
  });
});

describe('video of others', () => {
  test('is paused on the server, keeps its track, and is resumed', async () => {
    call.setVideoReception('paused');
    await vi.waitFor(() => expect(server.count('pauseConsumer')).toBe(1), SOON);
    expect(videoOfBob()).toMatchObject({ unplayable: false, track: expect.anything() });
    call.setVideoReception('on');
    await vi.waitFor(() => expect(server.count('resumeConsumer')).toBe(3), SOON);
    expect(server.count('closeConsumer')).toBe(0);
  });

  test('is closed while it is off, and consumed again', async () => {
    call.setVideoReception('off');
    await vi.waitFor(() => expect(server.count('closeConsumer')).toBe(1), SOON);
    expect(videoOfBob()).toMatchObject({ unplayable: true, track: null });
    expect(view.session).toBe('Connected');
    call.setVideoReception('on');
    await vi.waitFor(() => expect(server.count('consumeMedia')).toBe(3), SOON);
    await vi.waitFor(() => expect(videoOfBob()).toMatchObject({ unplayable: false, track: expect.anything() }), SOON);
  });
});
