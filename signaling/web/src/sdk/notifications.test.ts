import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { PresenceState, SignalSchema } from '../gen/signal_pb';
import type { PayloadInit } from './channel';
import { apply, type Effect } from './notifications';
import { emptyRoster, type Roster } from './roster';

const applied = (roster: Roster, payload: PayloadInit) => apply(roster, create(SignalSchema, { payload }).payload);
const effectOf = (payload: PayloadInit) => applied(emptyRoster, payload).effect;

const peer = { id: 'bob', displayName: 'Bob', producers: [{ id: 'v1', kind: 'video', source: 'camera' }] };
const withBob = applied(emptyRoster, { case: 'peerJoined', value: { peer } }).roster;

test('peers and their sources are added, changed and removed', () => {
  const after = (payload: PayloadInit) => applied(withBob, payload).roster.get('bob');
  const value = { peerId: 'bob', producerId: 'v1' };
  const producer = { id: 'a1', kind: 'audio', source: 'microphone' };
  expect(after({ case: 'peerLeft', value: { peerId: 'bob' } })).toBe(undefined);
  expect(after({ case: 'peerChanged', value: { peerId: 'bob', displayName: 'Robert' } })?.name).toBe('Robert');
  expect(after({ case: 'peerChanged', value: { peerId: 'bob', metadata: 'hand up' } })?.metadata).toBe('hand up');
  expect(after({ case: 'peerAway', value: { peerId: 'bob', away: true } })?.away).toBe(true);
  expect([...(after({ case: 'newProducer', value: { peerId: 'bob', producer } })?.sources.keys() ?? [])]).toEqual(['v1', 'a1']);
  expect(after({ case: 'producerClosed', value })?.sources.size).toBe(0);
  expect(after({ case: 'producerPaused', value })?.sources.get('v1')?.paused).toBe(true);
  expect(after({ case: 'producerResumed', value })?.sources.get('v1')?.paused).toBe(false);
});

test('the presence of a user applies to all its peers and to no others', () => {
  const join = (before: Roster, id: string, user: string, presence?: PresenceState) =>
    applied(before, { case: 'peerJoined', value: { peer: { id, user, presence } } }).roster;
  let roster = join(join(emptyRoster, 'bob-1', 'bob'), 'bob-2', 'bob', PresenceState.ACTIVE);
  roster = join(roster, 'eve-1', 'eve', PresenceState.IDLE);
  const presences = (of: Roster) => [...of.values()].map(({ presence }) => presence);
  expect(presences(roster)).toEqual(['active', 'active', 'idle']);
  const change = (state: PresenceState) => applied(roster, { case: 'presenceChanged', value: { user: 'bob', state } });
  const away = change(PresenceState.AWAY);
  expect(away.effect).toBe(null);
  expect(presences(away.roster)).toEqual(['away', 'away', 'idle']);
  expect(presences(roster)).toEqual(['active', 'active', 'idle']);
  // Known already, or of a later version.
  expect(change(PresenceState.ACTIVE).roster).toBe(roster);
  expect(change(99 as PresenceState).roster).toBe(roster);
});

test('channels are added and removed', () => {
  const dataProducer = { id: 'd1', label: 'game' };
  const { roster: added, effect } = applied(withBob, { case: 'newDataProducer', value: { peerId: 'bob', dataProducer } });
  expect(effect).toEqual({ on: 'announced', producerId: 'd1' });
  expect(added.get('bob')?.channels.get('d1')?.label).toBe('game');
  const removed = applied(added, { case: 'dataProducerClosed', value: { peerId: 'bob', dataProducerId: 'd1' } }).roster;
  expect(removed.get('bob')?.channels.size).toBe(0);
  expect(applied(withBob, { case: 'newDataProducer', value: { peerId: 'bob' } }).roster).toBe(withBob);
});

test('a peer or producer that is missing changes nothing', () => {
  const payloads: PayloadInit[] = [
    { case: 'peerJoined', value: {} },
    { case: 'newProducer', value: { peerId: 'bob' } },
    { case: 'producerClosed', value: { producerId: 'v9' } },
  ];
  for (const payload of payloads) {
    expect(applied(withBob, payload).roster).toEqual(withBob);
  }
});

test.each<[PayloadInit, Effect | null]>([
  [
    { case: 'dataProducerClosed', value: { peerId: 'bob', dataProducerId: 'd1' } },
    { on: 'dataProducerClosed', dataProducerId: 'd1' },
  ],
  [
    { case: 'dataConsumerClosed', value: { dataConsumerId: 'c1' } },
    { on: 'dataConsumerClosed', dataConsumerId: 'c1' },
  ],
  [
    { case: 'newProducer', value: { peerId: 'bob', producer: { id: 'p1' } } },
    { on: 'announced', producerId: 'p1' },
  ],
  [
    { case: 'producerClosed', value: { peerId: 'me', producerId: 'p1' } },
    { on: 'producerClosed', producerId: 'p1' },
  ],
  [
    { case: 'roomChanged', value: { policy: { maxPeers: 8, locked: true, publishers: 'admins', bans: 2 } } },
    {
      on: 'access',
      change: {
        on: 'policy',
        policy: { maxPeers: 8, locked: true, waitingRoom: false, publishers: 'admins', encrypted: false, bans: 2 },
      },
    },
  ],
  [
    { case: 'peerWaiting', value: { waitingId: 'w1', user: 'grace', displayName: 'Grace' } },
    { on: 'access', change: { on: 'waiting', client: { id: 'w1', user: 'grace', name: 'Grace' } } },
  ],
  [
    { case: 'peerWaiting', value: { waitingId: 'w1', gone: true } },
    { on: 'access', change: { on: 'notWaiting', id: 'w1' } },
  ],
  [
    { case: 'permissionsChanged', value: { permissions: { admin: true }, waiting: [{ waitingId: 'w1', user: 'grace' }] } },
    {
      on: 'access',
      change: {
        on: 'role',
        permissions: expect.objectContaining({ admin: true, publish: false }),
        waiting: [{ id: 'w1', user: 'grace', name: 'grace' }],
      },
    },
  ],
  [
    { case: 'muted', value: { producerId: 'p1', muted: true } },
    { on: 'muted', producerId: 'p1', muted: true },
  ],
  [
    { case: 'consumerClosed', value: { consumerId: 'c1' } },
    { on: 'consumerClosed', consumerId: 'c1' },
  ],
  [
    { case: 'layersWanted', value: { producerId: 'p1', spatialLayers: [0, 2] } },
    { on: 'media', change: { on: 'layersWanted', producerId: 'p1', layers: new Set([0, 2]) } },
  ],
  [
    { case: 'backupWanted', value: { producerId: 'p1', mimeType: 'video/VP8' } },
    { on: 'media', change: { on: 'backupWanted', producerId: 'p1', mimeType: 'video/VP8' } },
  ],
  [
    { case: 'layersChanged', value: { consumerId: 'c1' } },
    { on: 'media', change: { on: 'layersChanged', consumerId: 'c1', layers: null } },
  ],
  [
    { case: 'transportClosed', value: { transportId: 't1', reason: 'consent ended' } },
    { on: 'media', change: { on: 'transportClosed', transportId: 't1', reason: 'consent ended' } },
  ],
  [
    { case: 'mediaLost', value: { reason: 'exited' } },
    { on: 'media', change: { on: 'mediaLost', reason: 'exited' } },
  ],
  [
    { case: 'mediaReady', value: { engineEpoch: 'e2' } },
    { on: 'media', change: { on: 'mediaReady', epoch: 'e2' } },
  ],
  [
    { case: 'evicted', value: {} },
    { on: 'evicted', reason: 'You were removed from the room.' },
  ],
  [
    { case: 'evicted', value: { reason: 'Elsewhere.' } },
    { on: 'evicted', reason: 'Elsewhere.' },
  ],
  [
    { case: 'error', value: { message: 'stopping' } },
    { on: 'note', what: 'message of the server: stopping' },
  ],
  [
    { case: 'activeSpeakers', value: {} },
    { on: 'speakers', volumes: [] },
  ],
  [
    { case: 'scoreChanged', value: { of: { case: 'consumerId', value: 'c1' }, score: 4 } },
    { on: 'media', change: { on: 'consumerScore', consumerId: 'c1', score: 4 } },
  ],
  [
    { case: 'scoreChanged', value: { of: { case: 'producerId', value: 'p1' }, encoding: 2, score: 9 } },
    { on: 'media', change: { on: 'producerScore', producerId: 'p1', encoding: 2, score: 9 } },
  ],
  [{ case: 'scoreChanged', value: {} }, null],
  [
    { case: 'ack', value: {} },
    { on: 'note', what: 'skipped a notification: ack' },
  ],
])('%o has the effect %o and leaves the roster as it is', (payload, effect) => {
  expect(applied(withBob, payload)).toEqual({ roster: withBob, effect });
});

test('a message from a later version is skipped', () => {
  expect(effectOf({ case: undefined })).toEqual({ on: 'note', what: 'skipped a notification: empty or unknown' });
});
