// How the tiles of a call are arranged. The mode is saved in the browser; pins are ids of peers and screens, so they are
// saved for this tab only.

import { create } from 'zustand';
import { save, saved } from './storage';

export type LayoutMode = 'grid' | 'speaker';

const KEYS = { mode: 'leat.layout', pins: 'leat.pins' };
/** The oldest pins are dropped: those of former calls stay in the list. */
const PINS_MAX = 32;

export interface LayoutState {
  mode: LayoutMode;
  /** Ids of tiles. */
  pins: ReadonlySet<string>;
  /** From 0. */
  page: number;
  setMode(mode: LayoutMode): void;
  togglePin(tileId: string): void;
  setPage(page: number): void;
}

export function readLayout(
  saved: (key: string, storage: 'local' | 'session') => string | null,
): Pick<LayoutState, 'mode' | 'pins'> {
  const pins = (saved(KEYS.pins, 'session') ?? '').split(' ').filter((id) => /^[\w-]{1,64}$/.test(id));
  return { mode: saved(KEYS.mode, 'local') === 'speaker' ? 'speaker' : 'grid', pins: new Set(pins) };
}

export const useLayout = create<LayoutState>()((set, get) => ({
  ...readLayout(saved),
  page: 0,
  setMode: (mode) => {
    save(KEYS.mode, mode, 'local');
    set({ mode, page: 0 });
  },
  togglePin: (tileId) => {
    const pins = new Set(get().pins);
    if (!pins.delete(tileId)) pins.add(tileId);
    const kept = [...pins].slice(-PINS_MAX);
    save(KEYS.pins, kept.join(' '), 'session');
    set({ pins: new Set(kept), page: 0 });
  },
  setPage: (page) => set({ page }),
}));
