import type { types } from 'mediasoup-client';
import { expect, expectTypeOf, test } from 'vitest';
import { WAITING_MESSAGES_MAX } from './limits';
import { type Outlet, type OutletEvents, type ProducerEvents, RoutedLink } from './routed_link';
import { hashOf, randomBytes, SimulatedClient, SimulatedRoom } from './testing';

test('a data producer of mediasoup-client is an outlet', () => {
  expectTypeOf<types.DataProducer>().toExtend<Omit<Outlet, 'send'> & ProducerEvents>();
  expectTypeOf<types.DataProducer['send']>().toBeCallableWith(new Uint8Array(1));
});

/** A client whose messages go over a channel for each receiver. Each channel opens after a while. */
function routed(room: SimulatedRoom, peerId: string) {
  const client = new SimulatedClient(room, peerId, { chunkBytes: 1_024 });
  const path = client.link;
  const opened: (string | null)[] = [];
  const outlets: (Outlet & { readyState: RTCDataChannelState })[] = [];
  const link = new RoutedLink(async (to, events) => {
    opened.push(to);
    const outlet = {
      readyState: 'connecting' as RTCDataChannelState,
      get bufferedAmount() {
        return path.bufferedAmount;
      },
      bufferedAmountLowThreshold: 0,
      send: (message: Uint8Array<ArrayBuffer>) => path.send(message, to),
      close() {
        outlet.readyState = 'closed';
      },
    };
    room.at(50, () => {
      if (outlet.readyState !== 'connecting') return;
      outlet.readyState = 'open';
      events.onOpen();
    });
    outlets.push(outlet);
    return outlet;
  });
  client.transfers.attach(link);
  path.listen({
    onMessage: (from, message) => link.receive(from, message),
    onLow: () => undefined,
    onOpen: () => undefined,
    onClosed: () => undefined,
  });
  link.setOpen(true);
  return { client, link, opened, outlets };
}

test('files arrive over a channel for each receiver, also over other transports after a loss', async () => {
  const room = new SimulatedRoom(1, { bytesPerMs: 1_000 });
  const [ada, bob, cleo] = [routed(room, 'ada'), routed(room, 'bob'), routed(room, 'cleo')];
  const bytes = randomBytes(500_000, 1);
  const id = ada.client.offer(bytes, null);
  await room.until(() => bob.client.stateOf(id) === 'offered' && cleo.client.stateOf(id) === 'offered');
  for (const { client } of [bob, cleo]) await client.transfers.accept(id);
  await room.until(() => (bob.client.shown.get(id)?.bytes ?? 0) > 100_000);
  ada.link.setOpen(false);
  expect(ada.outlets.every(({ readyState }) => readyState === 'closed')).toBe(true);
  await room.forMs(2_000);
  ada.link.setOpen(true);
  await room.until(() => ada.client.stateOf(id) === 'done');
  for (const { client } of [bob, cleo]) expect(await client.hashOf(id)).toBe(hashOf(bytes));
  expect(ada.opened).toEqual(['bob', 'cleo', null, 'bob', 'cleo', null]);
  expect(bob.opened).toEqual(['ada']);
});

test('messages wait for their channel in a bounded number, in order; a closed channel is opened again', async () => {
  const sent: number[] = [];
  const all: OutletEvents[] = [];
  const outlets: (Outlet & { readyState: RTCDataChannelState })[] = [];
  const link = new RoutedLink(async (_, events) => {
    all.push(events);
    const outlet = {
      readyState: 'connecting' as RTCDataChannelState,
      bufferedAmount: 0,
      bufferedAmountLowThreshold: 0,
      send: (message: Uint8Array) => void sent.push(message[0] ?? -1),
      close: () => undefined,
    };
    outlets.push(outlet);
    return outlet;
  });
  expect(() => link.send(new Uint8Array(1), 'bob')).toThrow('closed');
  link.setOpen(true);
  for (let at = 0; at < WAITING_MESSAGES_MAX + 10; at++) link.send(new Uint8Array([at]), 'bob');
  expect(link.bufferedAmount).toBe(WAITING_MESSAGES_MAX);
  await Promise.resolve();
  const open = (at: number) => {
    (outlets[at] as { readyState: string }).readyState = 'open';
    all[at]?.onOpen();
  };
  open(0);
  expect(sent).toEqual(Array.from({ length: WAITING_MESSAGES_MAX }, (_, at) => at));
  expect(link.bufferedAmount).toBe(0);
  all[0]?.onClosed();
  link.send(new Uint8Array([200]), 'bob');
  await Promise.resolve();
  open(1);
  expect(sent.at(-1)).toBe(200);
  expect(all).toHaveLength(2);
});
