import { expect, test } from 'vitest';
import { initialAccess } from './access';
import { shared } from './share';
import type { CallView, PeerView } from './view';

const peer = (id: string, volume = 10): PeerView => ({
  id,
  user: id,
  name: id,
  away: false,
  presence: 'active',
  metadata: '',
  admin: false,
  encryption: null,
  sources: ['microphone', 'camera'].map((source) => ({
    id: `${id}-${source}`,
    kind: source === 'camera' ? 'video' : 'audio',
    source,
    paused: false,
    track: null,
    unplayable: false,
    starved: false,
    score: source === 'camera' ? volume : null,
    quality: null,
  })),
});

const view = (rest: Partial<CallView> = {}): CallView => ({
  session: 'Connected',
  recovery: null,
  online: true,
  waiting: false,
  room: 'millpond',
  permissions: initialAccess.permissions,
  policy: initialAccess.policy,
  videoReception: 'on',
  encrypted: false,
  waitingClients: [],
  peerId: 'ada',
  displayName: 'Ada',
  peers: [peer('bob'), peer('eve')],
  local: new Map(),
  sendScores: new Map([['camera', 10]]),
  speaking: new Set(['bob']),
  quality: new Map(),
  fileTransfers: new Map(),
  chat: [],
  hands: [],
  reactions: [],
  failure: null,
  ...rest,
});

test('a view with the same content is the view before', () => {
  const before = view();
  expect(shared(before, view())).toBe(before);
  expect(shared(null, before)).toBe(before);
});

test('a change of one peer keeps the other peers and the other sources', () => {
  const before = view();
  const after = shared(before, view({ peers: [peer('bob', 4), peer('eve')] }));
  expect(after.peers).not.toBe(before.peers);
  expect(after.peers[1]).toBe(before.peers[1]);
  expect(after.peers[0]?.sources[0]).toBe(before.peers[0]?.sources[0]);
  expect(after.peers[0]?.sources[1]).toMatchObject({ score: 4 });
  expect(after.speaking).toBe(before.speaking);
});

test('a peer that left, one that came and another order are changes', () => {
  const before = view();
  const ids = (peers: PeerView[]) => shared(before, view({ peers })).peers.map(({ id }) => id);
  expect(ids([peer('bob')])).toEqual(['bob']);
  expect(ids([peer('bob'), peer('eve'), peer('mia')])).toEqual(['bob', 'eve', 'mia']);
  expect(ids([peer('eve'), peer('bob')])).toEqual(['eve', 'bob']);
});

test('sets and maps are compared by content', () => {
  const before = view();
  const after = shared(before, view({ speaking: new Set(['eve']), sendScores: new Map([['camera', 9]]) }));
  expect(after.peers).toBe(before.peers);
  expect([...after.speaking]).toEqual(['eve']);
  expect(after.sendScores.get('camera')).toBe(9);
  const track = {} as MediaStreamTrack;
  const local = (paused: boolean) => new Map([['camera', { source: 'camera', kind: 'video', track, paused } as const]]);
  const sending = shared(before, view({ local: local(false) }));
  expect(shared(sending, view({ local: local(false) }))).toBe(sending);
  expect(shared(sending, view({ local: local(true) })).local.get('camera')?.paused).toBe(true);
});
