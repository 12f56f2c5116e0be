import { create } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode, type JoinRoom, PeerSchema } from '../gen/signal_pb';
import { Call } from './call';
import { type FakeSender, FakeServer, fakeDevice, fakeTrack, refusal } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };

let server: FakeServer;
let call: Call;
let view: CallView;
let producers: types.Producer[];

beforeEach(async () => {
  server = new FakeServer();
  producers = [];
  const watch = (transport: types.Transport) => {
    transport.observer.on('newproducer', (producer) => producers.push(producer));
  };
  call = new Call(
    {
      room: 'millpond',
      displayName: 'Ada',
      url: await server.listen(),
      makeDevice: () => fakeDevice(watch),
      requestTimeoutMs: 1_000,
    },
    {
      onView: (now) => {
        view = now;
      },
      onNotice: () => undefined,
    },
  );
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

const bob = create(PeerSchema, {
  id: 'bob',
  displayName: 'Bob',
  producers: ['audio-1', 'video-1'].map((id) => ({
    id,
    kind: id.slice(0, 5),
    source: id.startsWith('audio') ? 'microphone' : 'camera',
  })),
});

/** In a call with Bob, both sending; the camera under the server's policy. */
async function inCall(scalabilityMode = 'L3T3_KEY'): Promise<void> {
  server.joined = { peers: [bob], encodingPolicy: policy(scalabilityMode) };
  call.setSource('microphone', fakeTrack('audio'));
  call.setSource('camera', fakeTrack('video'));
  call.join();
  await vi.waitFor(() => expect(view.session).toBe('Connected'), SOON);
  await vi.waitFor(() => expect(server.count('resumeConsumer')).toBe(2), SOON);
}

const policy = (scalabilityMode: string) => ({
  $typeName: 'leat.signal.v1.EncodingPolicy' as const,
  scalabilityMode,
  opusStereo: false,
  opusDtx: true,
});
const camera = () => producers.find(({ kind }) => kind === 'video') as types.Producer;
const sender = () => camera().rtpSender as unknown as FakeSender;
const consumerOf = (producerId: string) => {
  const index = server.asked
    .filter(({ case: name }) => name === 'consumeMedia')
    .findIndex(({ value }) => (value as { producerId: string }).producerId === producerId);
  return server.answered('consumerCreated')[index]?.id as string;
};
const want = (...spatialLayers: number[]) =>
  server.tell({ case: 'layersWanted', value: { producerId: camera().id, spatialLayers } });

describe('what this client sends', () => {
  test('a camera has the sizes of the policy, a screen has one', async () => {
    await inCall();
    const encodings = camera().rtpParameters.encodings ?? [];
    expect(encodings.map(({ scaleResolutionDownBy }) => scaleResolutionDownBy)).toEqual([4, 2, 1]);
    call.setSource('screen', fakeTrack('video'));
    await vi.waitFor(() => expect(producers).toHaveLength(3), SOON);
    expect(producers[2]?.rtpParameters.encodings).toHaveLength(1);
  });

  test('sizes without receivers are switched off, and on again', async () => {
    await inCall();
    want(0, 1);
    await vi.waitFor(() => expect(sender().set).toEqual([[true, true, false]]), SOON);
    want();
    await vi.waitFor(() => expect(sender().set.at(-1)).toEqual([false, false, false]), SOON);
    want(2);
    await vi.waitFor(() => expect(sender().set.at(-1)).toEqual([false, false, true]), SOON);
    // Unchanged encodings are not set again.
    want(2);
    want(0, 1, 2, 3, 4, 5, 6, 7);
    await vi.waitFor(() => expect(sender().set.at(-1)).toEqual([true, true, true]), SOON);
    expect(sender().set).toHaveLength(4);
  });

  test('one stream is on while one of its layers has a receiver', async () => {
    await inCall('L1T3');
    want();
    await vi.waitFor(() => expect(sender().set).toEqual([[false]]), SOON);
    want(0);
    await vi.waitFor(() => expect(sender().set).toEqual([[false], [true]]), SOON);
  });

  test('the content hint is the track’s', async () => {
    await inCall();
    const screen = Object.assign(fakeTrack('video'), { contentHint: 'text' });
    call.setSource('screen', screen);
    await vi.waitFor(() => expect(producers).toHaveLength(3), SOON);
    expect(server.last('produceMedia')).toMatchObject({ source: 'screen', contentHint: 'text' });
    expect(producers[2]?.rtpParameters.encodings).toMatchObject([{ scalabilityMode: 'L1T3' }]);
  });

  test('the wanted layers may arrive before the producer’s id', async () => {
    server.instead.produceMedia = ({ value }) => {
      const { kind } = value as { kind: string };
      if (kind === 'video') server.tell({ case: 'layersWanted', value: { producerId: 'camera-1', spatialLayers: [0] } });
      return { case: 'producerCreated', value: { id: kind === 'video' ? 'camera-1' : 'microphone-1' } };
    };
    await inCall();
    await vi.waitFor(() => expect(sender().set).toEqual([[true, false, false]]), SOON);
  });

  test('after a resume all layers are wanted until the server reports others', async () => {
    await inCall();
    want(0);
    await vi.waitFor(() => expect(sender().set).toHaveLength(1), SOON);
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [bob] });
    server.cut();
    await vi.waitFor(
      () =>
        expect(sender().set).toEqual([
          [true, false, false],
          [true, true, true],
        ]),
      SOON,
    );
    server.instead.joinRoom = ({ value }) => {
      want(1);
      return server.keepAll(value as JoinRoom, { peers: [bob] });
    };
    server.cut();
    await vi.waitFor(() => expect(sender().set.at(-1)).toEqual([false, true, false]), SOON);
  });
});

describe('a second codec', () => {
  const wantBackup = (mimeType: string) => server.tell({ case: 'backupWanted', value: { producerId: camera().id, mimeType } });
  const produced = () =>
    server.asked.flatMap(({ case: name, value }) =>
      name === 'produceMedia' ? [(value as { backupFor: string }).backupFor] : [],
    );

  test('is produced beside the first, and closed with it', async () => {
    await inCall();
    wantBackup('video/vp8');
    wantBackup('video/vp8');
    await vi.waitFor(() => expect(produced().slice(2)).toEqual([camera().id]), SOON);
    await vi.waitFor(() => expect(producers).toHaveLength(3), SOON);
    call.setPaused('camera', true);
    await vi.waitFor(() => expect(server.count('pauseProducer')).toBe(2), SOON);
    call.setSource('camera', null);
    await vi.waitFor(() => expect(producers.filter(({ closed }) => closed)).toHaveLength(2), SOON);
    await vi.waitFor(() => expect(server.count('closeProducer')).toBe(1), SOON);
    await new Promise((done) => setTimeout(done, 100));
    expect(server.count('closeProducer')).toBe(1);
  });

  test('that this browser cannot encode is ignored, and one that is refused does not stop the first', async () => {
    await inCall();
    wantBackup('video/h266');
    server.instead.produceMedia = () => refusal(ErrorCode.LIMIT);
    wantBackup('video/vp8');
    await vi.waitFor(() => expect(produced()).toHaveLength(3), SOON);
    await new Promise((done) => setTimeout(done, 400));
    expect(produced()).toHaveLength(3);
    expect(camera().closed).toBe(false);
    expect(view.local.has('camera')).toBe(true);
  });
});

describe('what this client receives', () => {
  const asked = () =>
    server.asked.flatMap((payload) => (payload.case === 'setPreferredLayers' ? [payload.value.layers?.spatialLayer] : []));

  test('is requested in the size of its tile, once the size is stable', async () => {
    await inCall();
    for (const lines of [500, 400, 300, 200]) call.setDisplayHeight('video-1', lines);
    await vi.waitFor(() => expect(asked()).toEqual([0]), SOON);
    expect(server.last('setPreferredLayers').consumerId).toBe(consumerOf('video-1'));
    call.setDisplayHeight('video-1', 190);
    call.setDisplayHeight('video-1', 900);
    await vi.waitFor(() => expect(asked()).toEqual([0, 2]), SOON);
    call.setDisplayHeight('video-1', 901);
    // Sound has no size, and neither has a producer that is not in the room.
    call.setDisplayHeight('audio-1', 10);
    call.setDisplayHeight('video-9', 10);
    await new Promise((done) => setTimeout(done, 400));
    expect(asked()).toEqual([0, 2]);
  });

  test('a tile that exists before its video sets the layers before the consumer is resumed', async () => {
    call.setDisplayHeight('video-1', 100);
    await inCall();
    const order = server.asked
      .map((payload) => payload.case)
      .filter((name) => name === 'setPreferredLayers' || name === 'resumeConsumer');
    expect(order).toContain('setPreferredLayers');
    expect(asked()).toEqual([0]);
  });

  test('is paused while it is not shown, and sound is not', async () => {
    await inCall();
    const paused = () => server.asked.flatMap((payload) => (payload.case === 'pauseConsumer' ? [payload.value.consumerId] : []));
    const resumes = () => server.count('resumeConsumer');
    call.setDisplayHeight('video-1', 0);
    call.setDisplayHeight('audio-1', 0);
    await vi.waitFor(() => expect(paused()).toEqual([consumerOf('video-1')]), SOON);
    const before = resumes();
    call.setDisplayHeight('video-1', 100);
    await vi.waitFor(() => expect(resumes()).toBe(before + 1), SOON);
    // The size comes first, so that the keyframe has it.
    expect(asked()).toEqual([0]);
    // Layers that are requested by hand are received in any case.
    call.pinLayers('video-1', { spatialLayer: 1 });
    await vi.waitFor(() => expect(asked()).toEqual([0, 1]), SOON);
    call.setDisplayHeight('video-1', 0);
    await new Promise((done) => setTimeout(done, 400));
    expect(paused()).toHaveLength(1);
  });

  test('that is not shown from the start is not sent at all', async () => {
    server.joined = { peers: [bob] };
    call.setDisplayHeight('video-1', 0);
    call.join();
    await vi.waitFor(() => expect(server.count('consumeMedia')).toBe(2), SOON);
    await vi.waitFor(() => expect(server.count('resumeConsumer')).toBe(1), SOON);
    await new Promise((done) => setTimeout(done, 100));
    expect(server.last('resumeConsumer').consumerId).toBe(consumerOf('audio-1'));
    expect(server.count('pauseConsumer')).toBe(0);
  });

  test('pinned layers stay until they are released', async () => {
    await inCall();
    call.setDisplayHeight('video-1', 2_000);
    await vi.waitFor(() => expect(asked()).toEqual([2]), SOON);
    call.pinLayers('video-1', { spatialLayer: 1, temporalLayer: 0 });
    await vi.waitFor(() => expect(asked()).toEqual([2, 1]), SOON);
    expect(server.last('setPreferredLayers').layers?.temporalLayer).toBe(0);
    call.setDisplayHeight('video-1', 100);
    call.pinLayers('video-1', { spatialLayer: 1, temporalLayer: 2 });
    await vi.waitFor(() => expect(asked()).toEqual([2, 1, 1]), SOON);
    call.pinLayers('video-1', null);
    await vi.waitFor(() => expect(asked()).toEqual([2, 1, 1, 0]), SOON);
  });

  test('a source that cannot be played yet is requested again', async () => {
    server.instead.consumeMedia = ({ value }) => {
      if ((value as { producerId: string }).producerId !== 'video-1') return null;
      delete server.instead.consumeMedia;
      return refusal(ErrorCode.CANNOT_CONSUME, 'the sender has been asked', 20);
    };
    await inCall();
    const asked = server.asked.filter(({ case: name }) => name === 'consumeMedia');
    expect(asked.length).toBeGreaterThan(2);
    expect(view.peers[0]?.sources.every(({ unplayable }) => !unplayable)).toBe(true);
  });

  test('a temporary refusal is tried again', async () => {
    await inCall();
    server.instead.setPreferredLayers = () => {
      delete server.instead.setPreferredLayers;
      return refusal(ErrorCode.ENGINE_REFUSED);
    };
    call.setDisplayHeight('video-1', 100);
    await vi.waitFor(() => expect(asked()).toEqual([0, 0]), SOON);
  });

  test('a source without bandwidth is shown as starved after a moment', async () => {
    await inCall();
    const video = () => view.peers[0]?.sources.find(({ id }) => id === 'video-1');
    const consumerId = consumerOf('video-1');
    server.tell({ case: 'layersChanged', value: { consumerId, layers: { spatialLayer: 1, temporalLayer: 2 } } });
    await vi.waitFor(() => expect(call.layersOf('video-1')).toMatchObject({ spatialLayer: 1, temporalLayer: 2 }), SOON);
    const before = Date.now();
    server.tell({ case: 'layersChanged', value: { consumerId } });
    await vi.waitFor(() => expect(call.layersOf('video-1')).toBe(null), SOON);
    expect(video()?.starved).toBe(false);
    await vi.waitFor(() => expect(video()?.starved).toBe(true), SOON);
    expect(Date.now() - before).toBeGreaterThan(1_000);
    server.tell({ case: 'layersChanged', value: { consumerId, layers: { spatialLayer: 0, temporalLayer: 0 } } });
    await vi.waitFor(() => expect(video()?.starved).toBe(false), SOON);
  });
});
