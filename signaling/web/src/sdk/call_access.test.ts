// What administrators and other publishers decide, as this client sees it.

import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode, GrantedPermissionsSchema, type JoinRoom, PeerWaitingSchema, PresenceState } from '../gen/signal_pb';
import { Call } from './call';
import type { PayloadCase } from './channel';
import { Evicted, NotAdmitted, SignalError } from './errors';
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
  expect(view.failure).toEqual(new NotAdmitted('not today'));
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

test('a peer that is removed ends with the reason, and does not return', async () => {
  call.join();
  await session('Connected');
  server.tell({ case: 'evicted', value: { reason: 'an administrator removed you from the room' } });
  await session('Ended');
  expect(view.failure).toEqual(new Evicted('an administrator removed you from the room'));
  expect(server.count('joinRoom')).toBe(1);
});

describe('an administrator', () => {
  const online = () => vi.waitFor(() => expect(view.online).toBe(true), SOON);

  beforeEach(async () => {
    server.joined = {
      permissions: create(GrantedPermissionsSchema, { canPublish: true, canSubscribe: true, admin: true }),
      waiting: [create(PeerWaitingSchema, { waitingId: 'w1', user: 'grace', displayName: 'Grace' })],
    };
    call.join();
    await online();
  });

  test.each<[string, (call: Call) => Promise<void>, PayloadCase, object]>([
    ['removes a peer', ({ admin }) => admin.kick('bob'), 'kick', { peerId: 'bob', reason: '', wholeUser: false }],
    [
      'removes a user for a reason',
      ({ admin }) => admin.kick('bob', { reason: 'spam', wholeUser: true }),
      'kick',
      { peerId: 'bob', reason: 'spam', wholeUser: true },
    ],
    [
      'bans a user for a time',
      ({ admin }) => admin.ban('bob', { reason: 'spam', seconds: 60 }),
      'kick',
      { peerId: 'bob', reason: 'spam', ban: true, banSeconds: 60, wholeUser: false },
    ],
    ['bans a user until the room ends', ({ admin }) => admin.ban('bob'), 'kick', { peerId: 'bob', ban: true, banSeconds: 0 }],
    ['ends all bans', ({ admin }) => admin.clearBans(), 'setRoom', { clearBans: true }],
    ['makes a peer an administrator', ({ admin }) => admin.setAdmin('bob', true), 'setAdmin', { peerId: 'bob', admin: true }],
    ['ends the call', ({ admin }) => admin.endRoom('late'), 'endRoom', { reason: 'late' }],
    ['mutes a peer', ({ admin }) => admin.mutePeer('bob', true), 'mutePeer', { peerId: 'bob', muted: true, kind: '' }],
    [
      'unmutes the audio of a peer',
      ({ admin }) => admin.mutePeer('bob', false, 'audio'),
      'mutePeer',
      { peerId: 'bob', muted: false, kind: 'audio' },
    ],
    ['mutes a source', ({ admin }) => admin.muteSource('v1', true), 'muteProducer', { producerId: 'v1', muted: true }],
    ['admits a client', ({ admin }) => admin.admit('w1'), 'admitPeer', { waitingId: 'w1' }],
    ['denies a client', ({ admin }) => admin.deny('w1', 'not today'), 'denyPeer', { waitingId: 'w1', reason: 'not today' }],
  ])('%s', async (_, act, kind, value) => {
    await act(call);
    expect(server.last(kind)).toMatchObject(value);
  });

  test('changes only the parts of the policy that it names', async () => {
    await call.admin.setRoom({ locked: true });
    const { maxPeers, locked, waitingRoom, publishers } = server.last('setRoom');
    expect({ maxPeers, locked, waitingRoom, publishers }).toEqual({
      maxPeers: undefined,
      locked: true,
      waitingRoom: undefined,
      publishers: undefined,
    });
    await call.admin.setRoom({ maxPeers: null, publishers: 'admins' });
    expect(server.last('setRoom')).toMatchObject({ maxPeers: 0, publishers: 'admins' });
  });

  test('is one no more when another ends its role, and becomes one again with those who wait', async () => {
    const granted = (admin: boolean) => create(GrantedPermissionsSchema, { canPublish: true, canSubscribe: true, admin });
    server.tell({ case: 'permissionsChanged', value: { permissions: granted(false) } });
    await vi.waitFor(() => expect(view.permissions.admin).toBe(false), SOON);
    expect(view.waitingClients).toEqual([]);
    const waiting = [create(PeerWaitingSchema, { waitingId: 'w9', user: 'eve' })];
    server.tell({ case: 'permissionsChanged', value: { permissions: granted(true), waiting } });
    await vi.waitFor(() => expect(view.permissions.admin).toBe(true), SOON);
    expect(view.waitingClients).toEqual([{ id: 'w9', user: 'eve', name: 'eve' }]);
  });

  test('gets the reason of a refusal', async () => {
    server.instead.kick = () => refusal(ErrorCode.NO_SUCH_PEER, 'gone');
    const error = await call.admin.kick('bob').catch((error: unknown) => error);
    expect(error).toBeInstanceOf(SignalError);
    expect(error).toMatchObject({ codeName: 'NO_SUCH_PEER', message: 'gone' });
  });

  test('sees its permissions, the policy, and the clients that wait', async () => {
    const grace = { id: 'w1', user: 'grace', name: 'Grace' };
    expect(view.permissions.admin).toBe(true);
    expect(view.waitingClients).toEqual([grace]);
    server.tell({ case: 'peerWaiting', value: { waitingId: 'w2', user: 'eve' } });
    await vi.waitFor(() => expect(view.waitingClients).toEqual([grace, { id: 'w2', user: 'eve', name: 'eve' }]), SOON);
    server.tell({ case: 'peerWaiting', value: { waitingId: 'w1', gone: true } });
    await vi.waitFor(() => expect(view.waitingClients.map(({ id }) => id)).toEqual(['w2']), SOON);
    server.tell({ case: 'roomChanged', value: { policy: { locked: true, publishers: 'everyone' } } });
    await vi.waitFor(() => expect(view.policy).toMatchObject({ locked: true, waitingRoom: false, maxPeers: null }), SOON);
  });

  test('that gets a token without the permission sees no clients that wait', async () => {
    server.instead.refreshToken = () => ({ case: 'tokenRefreshed', value: { permissions: { canPublish: true } } });
    await call.refreshToken('second');
    expect(view.permissions).toMatchObject({ admin: false, publish: true, subscribe: false });
    expect(view.waitingClients).toEqual([]);
  });
});

test('metadata is set, and set again for a new place in the room', async () => {
  call.join();
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  await call.setMetadata({ displayName: 'Ada L.' });
  await call.setMetadata({ metadata: 'hand up' });
  expect(server.last('setMetadata').displayName).toBe(undefined);
  expect(server.last('setMetadata').metadata).toBe('hand up');
  expect(view.displayName).toBe('Ada L.');

  // The server kept the place, and the metadata with it.
  server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { displayName: 'Ada L.' });
  server.cut();
  await vi.waitFor(() => expect(server.count('joinRoom')).toBe(2), SOON);
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  expect(server.count('setMetadata')).toBe(2);

  server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { resumed: false, displayName: 'Ada' });
  server.cut();
  await vi.waitFor(() => expect(server.count('setMetadata')).toBe(3), SOON);
  expect(server.last('setMetadata')).toMatchObject({ displayName: 'Ada L.', metadata: 'hand up' });
  await vi.waitFor(() => expect(view.displayName).toBe('Ada L.'), SOON);
});

test('metadata that the server refuses changes nothing', async () => {
  call.join();
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  server.instead.setMetadata = () => refusal(ErrorCode.TOKEN_PERMISSION);
  await expect(call.setMetadata({ displayName: 'Eve' })).rejects.toMatchObject({ codeName: 'TOKEN_PERMISSION' });
  expect(view.displayName).toBe('Ada');
});

test.each([
  ['active', PresenceState.ACTIVE],
  ['idle', PresenceState.IDLE],
  ['away', PresenceState.AWAY],
] as const)('the presence %s is reported', async (presence, state) => {
  call.join();
  await vi.waitFor(() => expect(view.online).toBe(true), SOON);
  await call.setPresence(presence);
  expect(server.last('setPresence').state).toBe(state);
});

describe('a source for some users', () => {
  const requests = () =>
    server.asked.flatMap(({ case: kind }) =>
      ['produceMedia', 'setSubscribers', 'pauseProducer', 'resumeProducer'].includes(kind ?? '') ? [kind] : [],
    );
  const resumed = (count: number) => vi.waitFor(() => expect(server.count('resumeProducer')).toBe(count), SOON);

  test('sends nothing before the server has the list, also with the next engine', async () => {
    call.setSubscribers('camera', ['grace']);
    call.setSource('camera', fakeTrack('video'));
    call.join();
    await resumed(1);
    expect(requests()).toEqual(['produceMedia', 'setSubscribers', 'resumeProducer']);
    expect(server.last('produceMedia').paused).toBe(true);
    const producerId = server.answered('producerCreated')[0]?.id;
    expect(server.last('setSubscribers')).toMatchObject({ producerId, everyone: false, users: ['grace'] });

    server.tell({ case: 'mediaLost', value: { reason: 'crashed' } });
    server.tell({ case: 'mediaReady', value: { engineEpoch: 'second' } });
    await resumed(2);
    expect(requests().slice(3)).toEqual(['produceMedia', 'setSubscribers', 'resumeProducer']);
    expect(server.last('produceMedia').paused).toBe(true);
  });

  test('stays paused if the user paused it', async () => {
    call.setSubscribers('camera', ['grace']);
    call.setSource('camera', fakeTrack('video'), true);
    call.join();
    await vi.waitFor(() => expect(server.count('setSubscribers')).toBe(1), SOON);
    await session('Connected');
    expect(requests()).toEqual(['produceMedia', 'setSubscribers']);
  });

  test('that everyone got before is not paused, and goes to everyone again', async () => {
    call.setSource('camera', fakeTrack('video'));
    call.join();
    await session('Connected');
    call.setSubscribers('camera', ['grace']);
    await vi.waitFor(() => expect(server.count('setSubscribers')).toBe(1), SOON);
    call.setSubscribers('camera', 'everyone');
    await vi.waitFor(() => expect(server.count('setSubscribers')).toBe(2), SOON);
    expect(server.last('setSubscribers')).toMatchObject({ everyone: true, users: [] });
    expect(requests()).toEqual(['produceMedia', 'setSubscribers', 'setSubscribers']);
  });

  test('ends with a notice if the server does not accept the list', async () => {
    server.instead.setSubscribers = () => refusal(ErrorCode.LIMIT);
    call.setSubscribers('camera', ['grace']);
    call.setSource('camera', fakeTrack('video'));
    call.join();
    await noticed('The server does not accept who may receive your camera.');
    expect(view.local.size).toBe(0);
    expect(server.count('resumeProducer')).toBe(0);
  });
});
