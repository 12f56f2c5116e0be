import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { PeerSchema } from '../gen/signal_pb';
import { initialAccess } from './access';
import { type Roster, rosterOf, setPaused } from './roster';
import { type Received, type Shown, STARVED_AFTER_MS, viewOf } from './view';

const roster = rosterOf([
  create(PeerSchema, { id: 'bob', displayName: 'Bob', producers: [{ id: 'v1', kind: 'video', source: 'camera' }] }),
]);
const track = { id: 'track' } as MediaStreamTrack;
const NOW = 1_000_000;

function shown(rest: Partial<Shown> = {}): Shown {
  return {
    session: 'Connected',
    recovery: null,
    online: true,
    waiting: false,
    room: 'millpond',
    peerId: 'ada',
    displayName: 'Ada',
    access: initialAccess,
    roster,
    local: new Map(),
    unplayable: new Set(),
    media: null,
    speaking: new Set(),
    quality: new Map(),
    fileTransfers: new Map(),
    videoReception: 'on',
    chat: [],
    hands: [],
    reactions: [],
    encrypted: false,
    encryptionOf: () => null,
    failure: null,
    ...rest,
  };
}

/** Media that receives v1, of which the server has sent nothing for this long. */
function silentFor(ms: number, serverPaused = false): Received {
  const incoming = new Map([['v1', { consumer: { id: 'c1', track }, serverPaused }]]);
  const sent = new Map([['c1', { layers: null, at: NOW - ms }]]);
  return { incoming, outgoing: new Map(), hints: { sent, consumerScores: new Map(), producerScores: new Map() } };
}

const sourceOf = (rest: Partial<Shown>) => viewOf(shown(rest), NOW).peers[0]?.sources[0];

test('a source has its track once it is received', () => {
  expect(sourceOf({})).toMatchObject({ id: 'v1', source: 'camera', track: null, unplayable: false, starved: false });
  expect(sourceOf({ media: silentFor(0) })?.track).toBe(track);
  expect(sourceOf({ unplayable: new Set(['v1']) })?.unplayable).toBe(true);
});

test('a source is starved after the server has sent nothing for a moment, if neither side has paused it', () => {
  const paused: Roster = setPaused(roster, 'v1', true);
  expect(sourceOf({ media: silentFor(STARVED_AFTER_MS - 1) })?.starved).toBe(false);
  expect(sourceOf({ media: silentFor(STARVED_AFTER_MS) })?.starved).toBe(true);
  expect(sourceOf({ media: silentFor(STARVED_AFTER_MS, true) })?.starved).toBe(false);
  expect(sourceOf({ media: silentFor(STARVED_AFTER_MS), roster: paused })?.starved).toBe(false);
  expect(sourceOf({ media: { ...silentFor(0), hints: { ...silentFor(0).hints, sent: new Map() } } })?.starved).toBe(false);
});

test('a view does not change with the call', () => {
  const local = new Map();
  const view = viewOf(shown({ local }), NOW);
  local.set('camera', {});
  expect(view.local.size).toBe(0);
});

test('a view has the session state, but not the parts it is built from', () => {
  const view = viewOf(shown({ failure: new Error('gone') }), NOW);
  expect(view).toMatchObject({ session: 'Connected', online: true, room: 'millpond', peerId: 'ada', displayName: 'Ada' });
  expect(view.failure?.message).toBe('gone');
  expect(Object.keys(view)).not.toContain('media');
  expect(Object.keys(view)).not.toContain('roster');
});

const sent = (id: string, encodings: number, sending: ReadonlySet<number> | null) => ({
  producer: { id },
  encodings: Array(encodings).fill({}),
  sending,
});

function withScores(outgoing: Received['outgoing'], producerScores: Received['hints']['producerScores']): Received {
  const { incoming } = silentFor(0);
  return { incoming, outgoing, hints: { sent: new Map(), consumerScores: new Map([['c1', 4]]), producerScores } };
}

test('a source has the score of its consumer once it is reported', () => {
  const media = withScores(new Map(), new Map());
  expect(sourceOf({ media })?.score).toBe(4);
  expect(sourceOf({ media: { ...media, hints: { ...media.hints, consumerScores: new Map() } } })?.score).toBeNull();
  expect(sourceOf({})?.score).toBeNull();
});

test('a local source has the best score of the encodings that it sends', () => {
  const scores = new Map([
    [0, 3],
    [1, 8],
    [2, 0],
  ]);
  const of = (encodings: number, sending: ReadonlySet<number> | null, reported = scores) =>
    viewOf(shown({ media: withScores(new Map([['camera', sent('p1', encodings, sending)]]), new Map([['p1', reported]])) }), NOW)
      .sendScores;
  expect(of(3, null).get('camera')).toBe(8);
  expect(of(3, new Set([0, 2])).get('camera')).toBe(3);
  expect(of(3, new Set()).size).toBe(0);
  // All layers in one stream.
  expect(of(1, new Set([2]), new Map([[0, 6]])).get('camera')).toBe(6);
  expect(of(1, new Set(), new Map([[0, 0]])).size).toBe(0);
});
