// What administrators and other publishers decide, as this client sees it.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import { Call } from './call';
import { FakeServer, fakeDevice, fakeTrack, refusal } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };

let server: FakeServer;
let call: Call;
let view: CallView;
let notices: string[];

beforeEach(async () => {
  server = new FakeServer();
  const url = await server.listen();
  notices = [];
  const onView = (now: CallView) => {
    view = now;
  };
  const options = { room: 'millpond', displayName: 'Ada', url, makeDevice: () => fakeDevice() };
  call = new Call(options, { onView, onNotice: (text) => notices.push(text) });
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

const session = (state: string) => vi.waitFor(() => expect(view.session).toBe(state), SOON);
const noticed = (text: string) => vi.waitFor(() => expect(notices).toContain(text), SOON);

async function waiting(): Promise<void> {
  server.instead.joinRoom = () => ({ case: 'waiting', value: { room: 'millpond' } });
  call.join();
  await vi.waitFor(() => expect(view.waiting).toBe(true), SOON);
  expect(view.session).toBe('Handshaking');
}

test('a client that waits joins when it is admitted', async () => {
  call.setSource('microphone', fakeTrack('audio'));
  await waiting();
  expect(server.count('createTransport')).toBe(0);
  server.tell(server.keepAll(server.last('joinRoom'), { resumed: false }));
  await session('Connected');
  expect(view).toMatchObject({ waiting: false, online: true });
});

test('a client that is not admitted ends with the reason', async () => {
  await waiting();
  server.tell({ case: 'denied', value: { reason: 'not today' } });
  await session('Ended');
  expect(view.failure?.message).toBe('not today');
  expect(server.count('joinRoom')).toBe(1);
});

test('a muted source stays paused until an administrator unmutes it', async () => {
  call.setSource('microphone', fakeTrack('audio'));
  call.join();
  await session('Connected');
  const producerId = server.answered('producerCreated')[0]?.id;
  server.instead.resumeProducer = () => refusal(ErrorCode.MUTED);
  server.tell({ case: 'muted', value: { producerId, muted: true } });
  await vi.waitFor(() => expect(view.local.get('microphone')?.paused).toBe(true), SOON);
  await noticed('An administrator muted your microphone.');
  call.setPaused('microphone', false);
  // The refusal is final: it is paused again, and not tried again.
  await vi.waitFor(() => expect(view.local.get('microphone')?.paused).toBe(true), SOON);
  expect(server.count('resumeProducer')).toBe(1);

  delete server.instead.resumeProducer;
  server.tell({ case: 'muted', value: { producerId, muted: false } });
  await noticed('You may unmute your microphone again.');
  call.setPaused('microphone', false);
  await vi.waitFor(() => expect(server.count('resumeProducer')).toBe(2), SOON);
});

test('a source that only administrators may publish ends with a notice', async () => {
  call.setSource('camera', fakeTrack('video'));
  call.join();
  await session('Connected');
  server.instead.produceMedia = () => refusal(ErrorCode.PUBLISH_DENIED);
  server.tell({ case: 'producerClosed', value: { peerId: 'me', producerId: server.answered('producerCreated')[0]?.id } });
  await vi.waitFor(() => expect(view.local.size).toBe(0), SOON);
  await noticed('Only administrators may send in this room.');
});

test('a producer that its peer does not permit is requested again when it is announced', async () => {
  server.instead.consumeMedia = () => refusal(ErrorCode.SUBSCRIPTION_DENIED);
  const producer = { id: 'video-1', kind: 'video', source: 'camera' };
  server.joined = {};
  call.join();
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  server.tell({ case: 'peerJoined', value: { peer: { id: 'bob', displayName: 'Bob', producers: [producer] } } });
  await vi.waitFor(() => expect(view.peers[0]?.sources[0]?.unplayable).toBe(true), SOON);
  delete server.instead.consumeMedia;
  server.tell({ case: 'newProducer', value: { peerId: 'bob', producer } });
  await vi.waitFor(() => expect(view.peers[0]?.sources[0]?.track).not.toBe(null), SOON);
});

test('an administrator removes a peer; another client learns that it may not', async () => {
  call.join();
  await session('Connected');
  await call.kick('bob', { reason: 'not today' });
  expect(server.last('kick')).toMatchObject({ peerId: 'bob', reason: 'not today', wholeUser: false });
  server.instead.kick = () => refusal(ErrorCode.TOKEN_PERMISSION);
  await expect(call.kick('bob', { wholeUser: true })).rejects.toMatchObject({ codeName: 'TOKEN_PERMISSION' });
  expect(server.last('kick').wholeUser).toBe(true);
});
