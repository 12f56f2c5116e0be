import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { DataProducerInfoSchema, PeerSchema, type ProducerInfo, ProducerInfoSchema } from '../gen/signal_pb';
import * as roster from './roster';

const info = (id: string, kind = 'video', paused = false): ProducerInfo =>
  create(ProducerInfoSchema, { id, kind, source: kind === 'video' ? 'camera' : 'microphone', paused });

const peer = (id: string, producers: ProducerInfo[] = [], away = false) =>
  create(PeerSchema, { id, user: `${id}@example`, displayName: id.toUpperCase(), producers, away });

const sources = (of: roster.Roster, peerId: string) => [...(of.get(peerId)?.sources.keys() ?? [])];

test('notifications are idempotent', () => {
  const once = roster.addSource(roster.rosterOf([peer('bob')]), 'bob', info('v1'));
  const twice = roster.addSource(once, 'bob', info('v1'));
  expect(twice).toEqual(once);
  expect(roster.removeSource(roster.removeSource(twice, 'v1'), 'v1')).toEqual(roster.rosterOf([peer('bob')]));
  expect(roster.leave(roster.leave(twice, 'bob'), 'bob').size).toBe(0);
});

test('a change does not modify the roster before it', () => {
  const before = roster.rosterOf([peer('bob', [info('v1')])]);
  roster.setPaused(before, 'v1', true);
  roster.removeSource(before, 'v1');
  expect(before.get('bob')?.sources.get('v1')?.paused).toBe(false);
});

test('a notification about an unknown peer changes nothing', () => {
  const before = roster.rosterOf([peer('bob')]);
  expect(roster.addSource(before, 'eve', info('x'))).toBe(before);
  expect(roster.setPaused(before, 'x', true)).toBe(before);
  expect(roster.setAway(before, 'eve', true)).toBe(before);
});

test('an unknown kind is skipped', () => {
  expect(sources(roster.rosterOf([peer('bob', [info('d1', 'data'), info('a1', 'audio')])]), 'bob')).toEqual(['a1']);
});

test('a peer without a display name is called by its user', () => {
  expect(roster.peerOf(create(PeerSchema, { id: 'x', user: 'xavier' })).name).toBe('xavier');
});

test('a lost engine removes the sources and keeps the peers', () => {
  const after = roster.withoutSources(roster.rosterOf([peer('bob', [info('v1')]), peer('eve', [info('v2')])]));
  expect([...after.keys()]).toEqual(['bob', 'eve']);
  expect(sources(after, 'bob')).toEqual([]);
});

describe('resume', () => {
  const before = roster.rosterOf([peer('bob', [info('v1'), info('a1', 'audio')]), peer('eve', [info('v2')])]);

  test('a peer that is not back keeps the sources that still flow, and counts as away', () => {
    const after = roster.resumeRoster(before, [peer('eve', [info('v2')])], new Set(['v1', 'v2']));
    expect(sources(after, 'bob')).toEqual(['v1']);
    expect(after.get('bob')?.away).toBe(true);
    expect(after.get('eve')?.away).toBe(false);
  });

  test('a peer with nothing kept, and not listed, is gone', () => {
    expect([...roster.resumeRoster(before, [], new Set(['v2'])).keys()]).toEqual(['eve']);
  });

  test('new sources are added, closed ones removed, and the order of tiles stays', () => {
    const after = roster.resumeRoster(
      before,
      [peer('carol'), peer('eve', [info('v3')]), peer('bob', [info('v1', 'video', true)])],
      new Set(['v1']),
    );
    expect([...after.keys()]).toEqual(['bob', 'eve', 'carol']);
    expect(sources(after, 'eve')).toEqual(['v3']);
    expect(after.get('bob')?.sources.get('v1')?.paused).toBe(true);
    expect(sources(after, 'bob')).toEqual(['v1']);
  });

  test('a peer that comes back late keeps its sources', () => {
    const resumed = roster.resumeRoster(before, [], new Set(['v1', 'a1']));
    const back = roster.join(resumed, roster.peerOf(peer('bob')));
    expect(sources(back, 'bob')).toEqual(['v1', 'a1']);
    expect(back.get('bob')?.away).toBe(false);
  });
});

describe('channels', () => {
  const channel = (id: string) => create(DataProducerInfoSchema, { id, label: 'game', protocol: 'v1' });
  const channels = (of: roster.Roster, peerId: string) => [...(of.get(peerId)?.channels.keys() ?? [])];
  const withChannel = (id: string, ...ids: string[]) =>
    create(PeerSchema, { id, user: `${id}@example`, dataProducers: ids.map((id) => channel(id)) });

  test('come with their peer and with notifications, which are idempotent', () => {
    const before = roster.rosterOf([withChannel('bob', 'd1')]);
    const once = roster.addChannel(before, 'bob', channel('d2'));
    expect(roster.addChannel(once, 'bob', channel('d2'))).toEqual(once);
    expect(channels(once, 'bob')).toEqual(['d1', 'd2']);
    expect(channels(before, 'bob')).toEqual(['d1']);
    expect(once.get('bob')?.channels.get('d2')).toEqual({ id: 'd2', label: 'game', protocol: 'v1' });
    const removed = roster.removeChannel(once, 'd2');
    expect(removed).toEqual(before);
    expect(roster.removeChannel(removed, 'd2')).toBe(removed);
    expect(roster.addChannel(before, 'eve', channel('d2'))).toBe(before);
  });

  test('of a returning peer stay, and a lost engine removes them', () => {
    const before = roster.rosterOf([withChannel('bob', 'd1')]);
    expect(channels(roster.join(before, roster.peerOf(withChannel('bob'))), 'bob')).toEqual(['d1']);
    expect(channels(roster.withoutSources(before), 'bob')).toEqual([]);
  });

  test('after a resume are those that the server lists and those that still receive', () => {
    const before = roster.rosterOf([withChannel('bob', 'd1', 'd2'), withChannel('eve', 'd3')]);
    const after = roster.resumeRoster(before, [withChannel('bob', 'd4')], new Set(['d1', 'd3']));
    expect(channels(after, 'bob')).toEqual(['d1', 'd4']);
    expect(channels(after, 'eve')).toEqual(['d3']);
    expect(after.get('eve')?.away).toBe(true);
  });
});
