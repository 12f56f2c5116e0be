// Where each tile is: which ones are large, which are in the strip below them, and which are on another page. Pure.

import type { LayoutMode } from '../stores/useLayout';
import { layout } from './layout';

export interface TileRef {
  id: string;
  peerId: string;
  isScreen: boolean;
  isSelf: boolean;
}

/** In CSS pixels, from the upper left corner of the space. */
export interface Place {
  left: number;
  top: number;
  width: number;
  height: number;
  isLarge: boolean;
}

export interface Arrangement {
  /** By tile; a tile without a place is on another page. */
  places: ReadonlyMap<string, Place>;
  /** From 0. */
  page: number;
  pages: number;
}

export interface Space {
  width: number;
  height: number;
}

/** Tiles of one page of the grid. */
export const PAGE_TILES_MAX = 16;
/** The same in a narrow window. */
const PAGE_TILES_MAX_NARROW = 6;
const NARROW = 500;
/** Height of the strip, as a part of the space, within these bounds. */
const STRIP_SHARE = 0.2;
const STRIP_MIN = 72;
const STRIP_MAX = 150;
const STRIP_ASPECT = 4 / 3;

/**
 * The large tiles; with none, all are in the grid. Pinned tiles are first; without them screens, which are large in every
 * mode; and then, in the mode for it, the person who speaks.
 */
export function largeOf(
  tiles: readonly TileRef[],
  mode: LayoutMode,
  pins: ReadonlySet<string>,
  speaker: string | null,
): readonly string[] {
  const ids = (some: readonly TileRef[]) => some.map(({ id }) => id);
  const pinned = tiles.filter(({ id }) => pins.has(id));
  if (pinned.length > 0) return ids(pinned);
  // A small picture of the own screen is enough, and without it there is no tunnel of pictures.
  const screens = tiles.filter(({ isScreen, isSelf }) => isScreen && !isSelf);
  if (screens.length > 0) return ids(screens);
  if (mode === 'grid') return [];
  const people = tiles.filter(({ isScreen }) => !isScreen);
  const found = people.find(({ peerId }) => peerId === speaker) ?? people.find(({ isSelf }) => !isSelf);
  return found ? [found.id] : [];
}

/** The person whose tile is large: who speaks, and in silence who spoke last. */
export function nextSpeaker(before: string | null, speaking: readonly string[], peers: readonly string[]): string | null {
  const isHere = (id: string | null): id is string => id !== null && peers.includes(id);
  if (isHere(before) && (speaking.length === 0 || speaking.includes(before))) return before;
  return speaking.find(isHere) ?? (isHere(before) ? before : null);
}

export function arrange(
  tiles: readonly TileRef[],
  large: readonly string[],
  page: number,
  space: Space,
  gap: number,
): Arrangement {
  const ids = tiles.map(({ id }) => id);
  const small = ids.filter((id) => !large.includes(id));
  if (large.length === 0 || small.length === 0) return gridOf(ids, page, space, gap);
  const height = Math.min(STRIP_MAX, Math.max(STRIP_MIN, Math.floor(space.height * STRIP_SHARE)));
  const width = Math.floor(height * STRIP_ASPECT);
  const inStrip = pageOf(small, page, Math.max(1, Math.floor((space.width + gap) / (width + gap))));
  const row = rowOf(inStrip.ids, { width, height }, { left: 0, top: space.height - height, width: space.width }, gap, false);
  const above = { width: space.width, height: Math.max(0, space.height - height - gap) };
  const places = new Map([...cells(large, above, gap, true), ...row]);
  return { places, page: inStrip.page, pages: inStrip.pages };
}

function gridOf(ids: readonly string[], page: number, space: Space, gap: number): Arrangement {
  const shown = pageOf(ids, page, space.width > 0 && space.width < NARROW ? PAGE_TILES_MAX_NARROW : PAGE_TILES_MAX);
  return { places: cells(shown.ids, space, gap, false), page: shown.page, pages: shown.pages };
}

function pageOf(ids: readonly string[], page: number, size: number) {
  const pages = Math.max(1, Math.ceil(ids.length / size));
  const shown = Math.min(Math.max(0, page), pages - 1);
  return { ids: ids.slice(shown * size, (shown + 1) * size), page: shown, pages };
}

/** As large as the space allows, in its middle. */
function cells(ids: readonly string[], space: Space, gap: number, isLarge: boolean): Map<string, Place> {
  const fit = layout(ids.length, space.width, space.height, gap);
  const rows = Math.ceil(ids.length / fit.columns);
  const top = Math.max(0, (space.height - rows * fit.height - (rows - 1) * gap) / 2);
  const places = new Map<string, Place>();
  for (let row = 0; row < rows; row += 1) {
    const inRow = ids.slice(row * fit.columns, (row + 1) * fit.columns);
    const place = { left: 0, top: top + row * (fit.height + gap), width: space.width };
    for (const [id, at] of rowOf(inRow, fit, place, gap, isLarge)) places.set(id, at);
  }
  return places;
}

function rowOf(
  ids: readonly string[],
  size: Space,
  row: { left: number; top: number; width: number },
  gap: number,
  isLarge: boolean,
): [string, Place][] {
  const used = ids.length * size.width + (ids.length - 1) * gap;
  const start = row.left + Math.max(0, (row.width - used) / 2);
  const { width, height } = size;
  return ids.map((id, index) => [
    id,
    { left: Math.floor(start + index * (width + gap)), top: Math.floor(row.top), width, height, isLarge },
  ]);
}
