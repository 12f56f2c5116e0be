// @vitest-environment jsdom
import { act, createElement, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Call, CallOptions, CallView, Peer } from '../sdk';
import { CallStoreFeed, createCallStore, FakeServer, fakeDevice, fakeTrack, shared } from '../sdk/testing';
import {
  CallProvider,
  useCall,
  useFileTransfers,
  useJoin,
  useLocalTracks,
  useOnline,
  usePeer,
  usePeerIds,
  usePeers,
  useQuality,
  useSession,
  useSource,
  useSpeaking,
  Video,
} from '.';

let root: Root;
let page: HTMLElement;
let feed: CallStoreFeed;
/** The part of a call that the hooks use. */
let call: Call;

const peer = (id: string, name = id): Peer => ({
  id,
  user: id,
  name,
  away: false,
  presence: 'active',
  metadata: '',
  admin: false,
  encryption: null,
  sources: [{ ...source, id: `${id}-camera`, source: 'camera' }],
});
const source = {
  kind: 'video',
  paused: false,
  track: null,
  unplayable: false,
  starved: false,
  score: null,
  quality: null,
} as const;

/** Every object of the view is new, as in a call. */
function show(peers: readonly Peer[], rest: Partial<CallView> = {}): void {
  const own = { room: 'millpond', peerId: 'ada', displayName: 'Ada', session: 'Connected', online: true, speaking: new Set() };
  const maps = { local: new Map(), sendScores: new Map(), quality: new Map(), fileTransfers: new Map() };
  const lists = { waitingClients: [], chat: [], hands: [], reactions: [] };
  const view = shared(feed.store.getState().view, { ...own, ...maps, ...lists, peers, ...rest } as unknown as CallView);
  act(() => feed.show(view));
}

/** Draws a component that reads a value, and returns the values of all its drawings. */
function drawn<T>(read: () => T): T[] {
  const values: T[] = [];
  const Reader = (): ReactNode => {
    values.push(read());
    return null;
  };
  // biome-ignore lint/correctness/noChildrenProp: createElement needs the property for its type.
  act(() => root.render(createElement(CallProvider, { call, children: createElement(Reader) })));
  return values;
}

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  feed = new CallStoreFeed(createCallStore());
  call = { store: feed.store } as unknown as Call;
  page = document.createElement('div');
  root = createRoot(page);
});

afterEach(() => {
  act(() => root.unmount());
  vi.unstubAllGlobals();
});

describe('a hook draws its component again only when its value has changed', () => {
  test('one peer', () => {
    show([peer('grace'), peer('linus')]);
    const values = drawn(() => usePeer('grace')?.name);
    show([peer('grace'), peer('linus', 'Linus')]);
    expect(values).toEqual(['grace']);
    show([peer('grace', 'Grace'), peer('linus', 'Linus')]);
    expect(values).toEqual(['grace', 'Grace']);
    show([peer('linus', 'Linus')]);
    expect(values).toEqual(['grace', 'Grace', undefined]);
  });

  test('ids of peers, and peers', () => {
    show([peer('grace')]);
    const ids = drawn(() => usePeerIds());
    show([peer('grace', 'Grace')]);
    expect(ids).toEqual([['grace']]);
    show([peer('grace', 'Grace'), peer('linus')]);
    expect(ids).toEqual([['grace'], ['grace', 'linus']]);
    const peers = drawn(() => usePeers().map(({ name }) => name));
    show([peer('grace', 'Hopper'), peer('linus')]);
    show([peer('grace', 'Hopper'), peer('linus')]);
    expect(peers).toEqual([
      ['Grace', 'linus'],
      ['Hopper', 'linus'],
    ]);
  });

  test('who speaks: a peer, or this client', () => {
    show([peer('grace')]);
    const [grace, own]: [boolean[], boolean[]] = [[], []];
    drawn(() => {
      grace.push(useSpeaking('grace'));
      own.push(useSpeaking());
    });
    show([peer('grace')], { speaking: new Set(['linus']) });
    expect(grace).toEqual([false]);
    show([peer('grace')], { speaking: new Set(['grace']) });
    show([peer('grace')], { speaking: new Set(['ada']) });
    expect([grace, own]).toEqual([
      [false, true, false],
      [false, false, true],
    ]);
  });

  test('the quality of a source, and a source by name', () => {
    show([peer('grace')]);
    const values = drawn(() => [useQuality('grace-camera')?.level, useSource('grace', 'camera')?.id, useSource('grace', 'x')]);
    const measured = { level: 'poor', series: [] } as const;
    show([peer('grace')], { quality: new Map([['grace-camera', measured]]) });
    show([peer('grace')], { quality: new Map([['grace-camera', measured]]), online: false });
    expect(values).toEqual([
      [undefined, 'grace-camera', undefined],
      ['poor', 'grace-camera', undefined],
    ]);
  });

  test('own tracks', () => {
    const track = fakeTrack('audio');
    const local = () => new Map([['microphone', { source: 'microphone', kind: 'audio' as const, track, paused: false }]]);
    show([], { local: local() });
    const values = drawn(() => [...useLocalTracks()]);
    // Muted: the track is the same.
    show([], { local: new Map([['microphone', { ...local().get('microphone'), paused: true } as never]]) });
    expect(values).toEqual([[['microphone', track]]]);
    show([]);
    expect(values.at(-1)).toEqual([]);
  });

  test('a value of the application', () => {
    show([peer('grace')]);
    const values = drawn(() => useCall(({ view }) => view?.room));
    show([peer('grace', 'Grace')]);
    expect(values).toEqual(['millpond']);
  });
});

test('without a call the hooks return what they return before one', () => {
  call = null as unknown as Call;
  expect(drawn(() => [useSession(), useOnline(), usePeers(), usePeer('x') ?? null, useSpeaking(), useFileTransfers()])).toEqual([
    [null, false, [], null, false, []],
  ]);
});

test('a call as an argument comes before that of the provider', () => {
  show([peer('grace')]);
  const other = { store: createCallStore() } as unknown as Call;
  expect(drawn(() => [usePeerIds().length, usePeerIds(other).length, usePeerIds(null).length])).toEqual([[1, 0, 0]]);
});

test('a video element gets the tracks', () => {
  const [track, audioTrack] = [fakeTrack('video'), fakeTrack('audio')];
  const video = () => page.querySelector('video') as HTMLVideoElement;
  act(() => root.render(createElement(Video, { track, className: 'tile' })));
  expect(video().className).toBe('tile');
  expect((video().srcObject as MediaStream).getTracks()).toEqual([track]);
  act(() => root.render(createElement(Video, { track, audioTrack })));
  expect((video().srcObject as MediaStream).getTracks()).toEqual([track, audioTrack]);
  act(() => root.render(createElement(Video, { track: null })));
  expect(video().srcObject).toBeNull();
});

test('useJoin joins, leaves with its component, and reports why a call ended', async () => {
  const server = new FakeServer();
  const url = await server.listen();
  const seen: (string | null)[] = [];
  let failure: Error | null = null;
  const Room = ({ options }: { options: CallOptions | null }): ReactNode => {
    const joined = useJoin(options);
    failure = joined.failure;
    seen.push(useSession(joined.call));
    return null;
  };
  const options = { room: 'millpond', url, makeDevice: () => fakeDevice() };
  const soon = (check: () => unknown) => vi.waitFor(() => act(async () => void check()), { timeout: 30_000, interval: 10 });
  await act(async () => root.render(createElement(Room, { options })));
  await soon(() => expect(seen.at(-1)).toBe('Connected'));
  // The same room in a new object.
  await act(async () => root.render(createElement(Room, { options: { ...options } })));
  expect(server.count('joinRoom')).toBe(1);
  await act(async () => root.render(createElement(Room, { options: null })));
  await soon(() => expect(server.count('leave')).toBe(1));
  expect(seen.at(-1)).toBeNull();

  await act(async () => root.render(createElement(Room, { options })));
  await soon(() => expect(server.count('joinRoom')).toBe(2));
  await act(async () => server.tell({ case: 'evicted', value: { reason: 'out' } }));
  await soon(() => expect(failure?.message).toBe('out'));
  await act(async () => root.render(createElement(Room, { options: null })));
  await server.close();
});
