// @vitest-environment jsdom
import { act, createElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CallView, Peer } from '../sdk';
import { CallStoreFeed, createCallStore, shared } from '../sdk/testing';
import { useCallStore } from '../stores/useCallStore';
import { useLayout } from '../stores/useLayout';
import { Grid } from './components/Grid';
import type { TileProps } from './components/Tile';

/** The ids of the tiles that were drawn, in order. */
const drawn = vi.hoisted(() => [] as string[]);

vi.mock('./components/Tile', async (real) => {
  const { Tile } = await real<typeof import('./components/Tile')>();
  const counted = (props: TileProps) => {
    drawn.push(props.id);
    return Tile(props);
  };
  return { Tile: counted };
});

const PEERS = 49;
let root: Root;
let page: HTMLElement;

const peer = (id: string, paused = false): Peer => ({
  id,
  user: id,
  name: id,
  away: false,
  presence: 'active',
  metadata: '',
  admin: false,
  encryption: null,
  sources: [
    {
      id: `${id}-camera`,
      kind: 'video',
      source: 'camera',
      paused,
      track: null,
      unplayable: false,
      starved: false,
      score: null,
      quality: null,
    },
  ],
});

const feed = new CallStoreFeed(createCallStore());

/** The way of a view from the call to the page. Every object of it is new. */
function show(peers: readonly Peer[], rest: Partial<CallView> = {}): void {
  const own = { room: 'millpond', peerId: 'ada', displayName: 'Ada', session: 'Connected', speaking: new Set() };
  const maps = {
    local: new Map(),
    sendScores: new Map(),
    quality: new Map(),
    fileTransfers: new Map(),
    waitingClients: [],
    hands: [],
    reactions: [],
    chat: [],
  };
  const view = shared(feed.store.getState().view, { ...own, ...maps, peers, ...rest } as unknown as CallView);
  feed.show(view);
  act(() => useCallStore.setState({ call: view, peers: feed.store.getState().peers }));
}

const peers = () => Array.from({ length: PEERS }, (_, index) => peer(`peer-${index}`));
const withChanged = (index: number, changed: Peer) => peers().map((peer, at) => (at === index ? changed : peer));

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  for (const observer of ['ResizeObserver', 'IntersectionObserver']) {
    vi.stubGlobal(
      observer,
      class {
        observe() {}
        disconnect() {}
      },
    );
  }
  useLayout.setState({ mode: 'grid', pins: new Set(), page: 0 });
  page = document.createElement('div');
  root = createRoot(page);
  show(peers());
  act(() => root.render(createElement(Grid)));
});

afterEach(() => {
  act(() => root.unmount());
  drawn.length = 0;
});

test('50 tiles are drawn once', () => {
  expect(page.querySelectorAll('.tile')).toHaveLength(PEERS + 1);
  expect(drawn).toHaveLength(PEERS + 1);
});

test('a change of one of 50 tiles draws that tile only', () => {
  drawn.length = 0;
  show(withChanged(7, { ...peer('peer-7'), name: 'Grace' }));
  expect(drawn).toEqual(['peer-7']);
  expect(page.querySelector('[data-peer="peer-7"] .name')?.textContent).toBe('Grace');
});

test('a new speaker draws the tile of the speaker only', () => {
  drawn.length = 0;
  show(peers(), { speaking: new Set(['peer-3']) });
  expect(drawn).toEqual(['peer-3']);
  show(peers(), { speaking: new Set(['peer-4']) });
  expect(drawn.slice(1).toSorted()).toEqual(['peer-3', 'peer-4']);
});

test('pages hold 16 tiles, and neither another page nor a pin nor another layout draws a tile again', () => {
  const shown = () => [...page.querySelectorAll<HTMLElement>('.cell:not([hidden])')].map((cell) => cell.dataset.tile);
  drawn.length = 0;
  expect(shown()).toEqual(Array.from({ length: 16 }, (_, index) => `peer-${index}`));
  act(() => page.querySelector<HTMLElement>('[aria-label="Next page"]')?.click());
  expect(shown()).toEqual(Array.from({ length: 16 }, (_, index) => `peer-${index + 16}`));
  act(() => page.querySelector<HTMLElement>('[data-tile="peer-40"] .pin')?.click());
  expect(page.querySelector('.cell.large')?.getAttribute('data-tile')).toBe('peer-40');
  expect(page.querySelector('[data-tile="peer-40"] .pin')?.getAttribute('aria-pressed')).toBe('true');
  act(() => useLayout.getState().togglePin('peer-40'));
  act(() => useLayout.getState().setMode('speaker'));
  expect(page.querySelector('.cell.large')?.getAttribute('data-tile')).toBe('peer-0');
  expect(drawn).toEqual([]);
  show(peers(), { speaking: new Set(['peer-9']) });
  expect(page.querySelector('.cell.large')?.getAttribute('data-tile')).toBe('peer-9');
  expect(drawn).toEqual(['peer-9']);
});

test('a raised hand and a reaction draw no tile', () => {
  drawn.length = 0;
  show(peers(), { hands: ['peer-5', 'peer-2'], reactions: [{ id: 'm1', from: 'peer-2', emoji: '👍' }] });
  expect(page.querySelector('[data-peer="peer-2"] .hand')?.textContent).toBe('✋ 2');
  expect(page.querySelector('[data-peer="peer-2"] .reaction')?.textContent).toBe('👍');
  expect(drawn).toEqual([]);
});

test('a peer that joins draws its own tile only', () => {
  drawn.length = 0;
  show([...peers(), peer('grace')]);
  expect(drawn).toEqual(['grace']);
  expect(page.querySelectorAll('.tile')).toHaveLength(PEERS + 2);
});
