// A call whose media path is lost: the steps until it is back.

import { create } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type JoinRoom, PeerSchema } from '../gen/signal_pb';
import { Call } from './call';
import { FakeServer, fakeDevice, fakeTrack, setConnectionState } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 60_000, interval: 5 };
const relay = { urls: ['turn:192.0.2.1:3478?transport=udp'], username: '1800000600:ada', credential: 'first' };

let server: FakeServer;
let call: Call;
let view: CallView;
let transports: types.Transport[];
let options: types.TransportOptions[];
let steps: string[];

async function makeDevice() {
  const device = await fakeDevice((transport) => transports.push(transport));
  for (const name of ['createSendTransport', 'createRecvTransport'] as const) {
    const real = device[name].bind(device);
    device[name] = ((given: types.TransportOptions) => {
      options.push(given);
      return real(given);
    }) as (typeof device)[typeof name];
  }
  return device;
}

beforeEach(async () => {
  server = new FakeServer();
  transports = [];
  options = [];
  steps = [];
  const url = await server.listen();
  const onView = (now: CallView) => {
    view = now;
    const step = now.recovery?.step ?? 'none';
    if (step !== steps.at(-1)) steps.push(step);
  };
  call = new Call({ room: 'millpond', url, makeDevice, requestTimeoutMs: 5_000 }, { onView, onNotice: () => undefined });
  const producers = [{ id: 'audio-1', kind: 'audio', source: 'microphone' }];
  server.joined = { peers: [create(PeerSchema, { id: 'bob', displayName: 'Bob', producers })] };
  call.setSource('microphone', fakeTrack('audio'));
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

const session = (state: string) => vi.waitFor(() => expect(view.session).toBe(state), SOON);
const receiving = () => vi.waitFor(() => expect(view.peers[0]?.sources[0]?.track).toBeTruthy(), SOON);
const policies = () => options.map(({ iceTransportPolicy }) => iceTransportPolicy);
const notes = (what: RegExp) => call.history.filter((entry) => what.test(entry.what));

async function inCall(iceServers = [relay]): Promise<void> {
  server.iceServers = iceServers;
  call.join();
  await session('Connected');
  await receiving();
}

test('an ICE restart that gives the path back is the only step', async () => {
  await inCall();
  const [send] = transports as [types.Transport];
  setConnectionState(send, 'failed');
  await vi.waitFor(() => expect(server.count('restartIce')).toBe(1), SOON);
  setConnectionState(send, 'connected');
  await session('Connected');
  expect(steps).toEqual(['none', 'iceRestart', 'none']);
  expect(policies()).toEqual(['all', 'all']);
});

test('after an ICE restart without a result, the tracks move to transports over a relay', async () => {
  await inCall();
  const [send] = transports as [types.Transport];
  server.iceServers = [{ ...relay, credential: 'later' }];
  setConnectionState(send, 'failed');
  await vi.waitFor(() => expect(steps).toContain('relay'), SOON);
  await vi.waitFor(() => expect(steps.at(-1)).toBe('none'), SOON);
  await receiving();
  expect(steps).toEqual(['none', 'iceRestart', 'relay', 'none']);
  expect(policies()).toEqual(['all', 'all', 'relay', 'relay']);
  expect(options.at(-1)?.iceServers).toEqual(server.iceServers);
  expect(send.closed).toBe(true);
  expect(server.count('produceMedia')).toBe(2);
  expect(notes(/^media path restored by relay after \d+ ms$/)).toHaveLength(1);
});

test('the relay is a step with a name, and later transports try all paths again', async () => {
  await inCall();
  call.faults.switchToRelay();
  expect(view.session).toBe('Reconnecting');
  await session('Connected');
  await receiving();
  expect(policies().slice(2)).toEqual(['relay', 'relay']);
  server.tell({ case: 'transportClosed', value: { transportId: transports.at(-1)?.id ?? '', reason: 'test' } });
  await vi.waitFor(() => expect(options).toHaveLength(6), SOON);
  await session('Connected');
  expect(policies().slice(4)).toEqual(['all', 'all']);
});

test('a new join has a new socket, the same place, and new transports', async () => {
  await inCall();
  call.faults.switchToRelay();
  call.faults.rejoin();
  await vi.waitFor(() => expect(server.count('joinRoom')).toBe(2), SOON);
  await session('Connected');
  await receiving();
  expect(server.connections).toBe(2);
  expect(server.last('joinRoom').resume).toMatchObject({ peerId: 'me', transports: [] });
  expect(policies().slice(-2)).toEqual(['all', 'all']);
  expect(view.recovery).toBe(null);
});

test('a lost socket alone is no loss of media', async () => {
  await inCall();
  server.instead.joinRoom = (payload) => (payload.case === 'joinRoom' ? server.keepAll(payload.value) : null);
  call.faults.dropSignaling();
  await vi.waitFor(() => expect(server.connections).toBe(2), SOON);
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  expect(steps).toEqual(['none']);
  expect(options).toHaveLength(2);
});

test('a required restart keeps the transports', async () => {
  await inCall();
  call.faults.restartIce();
  await vi.waitFor(() => expect(server.count('restartIce')).toBe(2), SOON);
  expect(options).toHaveLength(2);
});

test('media that cannot arrive yet is not shown as connected', async () => {
  await inCall();
  server.instead.consumeMedia = () => null;
  call.setSource('microphone', null);
  await vi.waitFor(() => expect(server.count('closeProducer')).toBe(1), SOON);
  call.faults.switchToRelay();
  await vi.waitFor(() => expect(server.count('consumeMedia')).toBe(2), SOON);
  expect(view).toMatchObject({ session: 'Reconnecting', recovery: { step: 'relay' } });
});

test('an object whose answer was lost is closed by a resume, and made again', async () => {
  call.join();
  await session('Connected');
  const sockets = new Set<string>();
  server.instead.produceMedia = (_, socket) => {
    sockets.add(socket);
    return sockets.size === 1 ? null : { case: 'producerCreated', value: { id: 'second' } };
  };
  server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom);
  call.setSource('camera', fakeTrack('video'));
  await vi.waitFor(() => expect(sockets.size).toBe(2), SOON);
  // That of the microphone.
  expect(server.last('joinRoom').resume?.producers).toHaveLength(1);
  expect(server.last('joinRoom').resume?.transports).toHaveLength(2);
  expect(server.count('produceMedia')).toBe(3);
});
