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
  return { incoming, hints: { sent: new Map([['c1', { layers: null, at: NOW - ms }]]) } };
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
  expect(sourceOf({ media: { ...silentFor(0), hints: { sent: new Map() } } })?.starved).toBe(false);
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
