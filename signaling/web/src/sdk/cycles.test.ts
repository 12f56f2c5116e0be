// What a long call keeps: sources that come and go leave nothing behind.

import { create } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PeerSchema } from '../gen/signal_pb';
import { CallCore } from './core';
import { FakeServer, fakeDevice, fakeTrack } from './testing';
import type { CallView } from './view';

const CYCLES = 100;
const soon = (check: () => unknown) => vi.waitFor(check, { timeout: 30_000, interval: 2 });

let server: FakeServer;
let core: CallCore;
let view: CallView;
let transports: types.Transport[];

beforeEach(async () => {
  server = new FakeServer();
  transports = [];
  const url = await server.listen();
  const makeDevice = () => fakeDevice((transport) => transports.push(transport));
  const onView = (now: CallView) => {
    view = now;
  };
  core = new CallCore({ room: 'millpond', url, makeDevice }, { onView, onNotice: () => undefined });
  server.joined = { peers: [create(PeerSchema, { id: 'bob', user: 'bob' })] };
  core.start();
  await soon(() => expect(view?.session).toBe('Connected'));
});

afterEach(async () => {
  core.dispatch('CLIENT_DISCONNECT');
  core.channel.close();
  await server.close();
});

/** The number of entries in everything that the call keeps for each source. */
function kept() {
  const { media, room } = core;
  if (!media) throw new Error('no media');
  const { wanted, backups, sent, consumerScores, producerScores } = media.hints;
  const mediasoup = transports.map((transport) => {
    const { _producers, _consumers } = transport as unknown as Record<string, Map<string, unknown>>;
    return [_producers?.size, _consumers?.size];
  });
  return {
    outgoing: media.outgoing.size,
    incoming: media.incoming.size,
    hints: [wanted, backups, sent, consumerScores, producerScores].map(({ size }) => size),
    room: [room.local, room.unplayable, room.lines, room.pinned, room.subscribers].map(({ size }) => size),
    sources: [...room.roster.values()].map(({ sources }) => sources.size),
    view: [view.local.size, view.sendScores.size, view.quality.size, view.peers[0]?.sources.length],
    mediasoup,
  };
}

test(`${CYCLES} times a source is published and ended: the lists are as long as before`, async () => {
  const before = kept();
  for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
    core.room.setSource('camera', fakeTrack('video'), false);
    core.changed();
    await soon(() => expect(core.media?.outgoing.size).toBe(1));
    const producerId = server.answered('producerCreated').at(-1)?.id ?? '';
    server.tell({ case: 'layersWanted', value: { producerId, spatialLayers: [0, 1] } });
    server.tell({ case: 'backupWanted', value: { producerId, mimeType: 'video/VP8' } });
    server.tell({ case: 'scoreChanged', value: { of: { case: 'producerId', value: producerId }, encoding: 0, score: 9 } });
    await soon(() => expect(core.media?.hints.producerScores.size).toBe(1));
    core.room.setSource('camera', null, false);
    core.changed();
    await soon(() => {
      expect(core.media?.outgoing.size).toBe(0);
      expect(server.count('closeProducer')).toBeGreaterThanOrEqual(cycle);
    });
  }
  await soon(() => expect(kept()).toEqual(before));
  expect(core.history.entries.length).toBeLessThanOrEqual(1_000);
});

test(`${CYCLES} times a source of a peer begins and ends: the lists are as long as before`, async () => {
  // mediasoup-client keeps one consumer for probes of bandwidth from the first video on.
  await receive(0);
  const before = kept();
  for (let cycle = 1; cycle <= CYCLES; cycle += 1) await receive(cycle);
  await soon(() => expect(kept()).toEqual(before));
});

async function receive(cycle: number): Promise<void> {
  const id = `video-${cycle}`;
  server.tell({ case: 'newProducer', value: { peerId: 'bob', producer: { id, kind: 'video', source: 'camera' } } });
  await soon(() => expect(core.media?.incoming.get(id)?.serverPaused).toBe(false));
  const consumerId = core.media?.incoming.get(id)?.consumer.id ?? '';
  core.room.lines.set(id, 360);
  core.room.pinLayers(id, { spatialLayer: 0, temporalLayer: 0 } as never);
  core.changed();
  server.tellTogether(
    { case: 'layersChanged', value: { consumerId, layers: { spatialLayer: 0, temporalLayer: 0 } } },
    { case: 'scoreChanged', value: { of: { case: 'consumerId', value: consumerId }, encoding: 0, score: 9 } },
  );
  await soon(() => expect(view.peers[0]?.sources[0]?.score).toBe(9));
  server.tell({ case: 'producerClosed', value: { peerId: 'bob', producerId: id } });
  await soon(() => {
    expect(core.media?.incoming.size).toBe(0);
    expect(view.peers[0]?.sources).toEqual([]);
  });
}
