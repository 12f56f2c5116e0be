import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { PeerSchema } from '../gen/signal_pb';
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
    online: true,
    room: 'millpond',
    peerId: 'ada',
    displayName: 'Ada',
    roster,
    local: new Map(),
    unplayable: new Set(),
    media: null,
    speaking: new Set(),
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

test('a source has the score of its consumer, and a local source the best score of its encodings', () => {
  const { incoming } = silentFor(0);
  const outgoing = new Map([
    ['camera', { producer: { id: 'p1' } }],
    ['microphone', { producer: { id: 'p2' } }],
  ]);
  const encodings = new Map([
    [0, 3],
    [1, 8],
    [2, 0],
  ]);
  const hints = { sent: new Map(), consumerScores: new Map([['c1', 4]]), producerScores: new Map([['p1', encodings]]) };
  const media = { incoming, outgoing, hints };
  expect(sourceOf({ media })?.score).toBe(4);
  expect(sourceOf({ media: { ...media, hints: { ...hints, consumerScores: new Map() } } })?.score).toBeNull();
  expect(sourceOf({})?.score).toBeNull();
  expect(viewOf(shown({ media }), NOW).sendScores).toEqual(new Map([['camera', 8]]));
});
