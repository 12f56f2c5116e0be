// @vitest-environment jsdom
import { act, createElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CallView, Measurement, Peer, QualityLevel, SourceQuality, SourceView } from '../sdk';
import { useCallStore } from '../stores/useCallStore';
import { Statistics } from './components/Statistics';
import { ownQuality, tilesOf } from './tiles';

let root: Root;
let page: HTMLElement;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  page = document.createElement('div');
  root = createRoot(page);
});

afterEach(() => act(() => root.unmount()));

const measurement = (rest: Partial<Measurement> = {}): Measurement => ({
  at: 0,
  jitterMs: 8,
  packetLoss: 0.012,
  rttMs: 31,
  bitrateBps: 64_000,
  freezes: 0,
  frozenShare: 0,
  mos: null,
  ...rest,
});

const source = (source: string, level: QualityLevel | null, paused = false): SourceView => ({
  id: `bob-${source}`,
  kind: source === 'microphone' ? 'audio' : 'video',
  source,
  paused,
  track: null,
  unplayable: false,
  starved: false,
  score: null,
  quality: level,
});

const bob = (...sources: SourceView[]) => ({ id: 'bob', name: 'Bob', sources }) as unknown as Peer;

function draw(quality: [string, SourceQuality][]): void {
  const local = new Map([['camera', { paused: false }]]);
  const peers = [bob(source('microphone', 'good'), source('camera', 'fair'))];
  useCallStore.setState({ call: { peers, local, quality: new Map(quality) } as unknown as CallView });
  act(() => root.render(createElement(Statistics)));
}

const textsOf = (id: string) => [...page.querySelectorAll(`[data-source="${id}"] .measure`)].map((row) => row.textContent);

test('each measured source has its last values and a plot for each', () => {
  draw([
    ['camera', { level: 'good', series: [measurement(), measurement()] }],
    ['bob-microphone', { level: 'fair', series: [measurement({ mos: 4.21 })] }],
  ]);
  expect([...page.querySelectorAll('h3')].map((title) => title.textContent?.trim())).toEqual([
    'Your camera connection: good',
    'Bob: microphone connection: fair',
  ]);
  expect(textsOf('camera')).toEqual(['Bit rate64 kbit/s', 'Packet loss1.2 %', 'Jitter8 ms', 'Round trip31 ms']);
  expect(textsOf('bob-microphone').at(-1)).toBe('Opinion score4.2');
  expect(page.querySelectorAll('polyline')).toHaveLength(9);
  expect(page.querySelector('polyline')?.getAttribute('points')?.split(' ')).toHaveLength(2);
});

test('freezes are those of received video', () => {
  draw([['bob-camera', { level: 'fair', series: [measurement({ freezes: 2 })] }]]);
  expect(textsOf('bob-camera').at(-1)).toBe('Freezes2');
});

test('values that are not known have no row', () => {
  draw([['bob-camera', { level: 'good', series: [measurement({ rttMs: null })] }]]);
  expect(textsOf('bob-camera').some((text) => text?.startsWith('Round trip'))).toBe(false);
});

test('without a measurement the panel says so', () => {
  draw([]);
  expect(page.textContent).toContain('Nothing is measured yet.');
});

test('a tile has the worst level of the sources in it that are not paused', () => {
  const levels = (...sources: SourceView[]) => tilesOf(bob(...sources), false).map(({ id, quality }) => [id, quality]);
  expect(levels(source('microphone', 'poor'), source('camera', 'good'))).toEqual([['bob', 'poor']]);
  expect(levels(source('microphone', 'poor', true), source('camera', 'good'))).toEqual([['bob', 'good']]);
  expect(levels(source('screen', 'fair'), source('camera', null))).toEqual([
    ['bob-screen', 'fair'],
    ['bob', null],
  ]);
});

test('the own tiles have the levels of what is sent', () => {
  const quality = new Map(['microphone', 'screen'].map((name) => [name, { level: 'fair' as const, series: [] }]));
  const local = (paused: boolean) => new Map([['microphone', { paused }]]) as unknown as CallView['local'];
  expect(ownQuality({ quality, local: local(false) })).toEqual({ person: 'fair', screen: null });
  expect(ownQuality({ quality, local: local(true) })).toEqual({ person: null, screen: null });
});
