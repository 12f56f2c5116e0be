// How many columns make the tiles largest.

export interface Layout {
  columns: number;
  /** Of one tile, in CSS pixels. */
  width: number;
  height: number;
}

/** Tiles are never taller than this for their width: a phone held upright gets upright tiles, not slivers. */
const ASPECT_MIN = 3 / 4;
const ASPECT_MAX = 16 / 9;

/**
 * Of all column counts, the one that shows the most picture: tiles fill their cell, with an aspect ratio between 3:4 and 16:9. `width` and `height` are of the
 * space to fill, `gap` lies between tiles.
 */
export function layout(tiles: number, width: number, height: number, gap: number): Layout {
  let best: Layout = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, tiles); columns += 1) {
    const rows = Math.ceil(Math.max(1, tiles) / columns);
    const cellWidth = Math.max(0, (width - gap * (columns - 1)) / columns);
    const cellHeight = Math.max(0, (height - gap * (rows - 1)) / rows);
    const tileWidth = Math.floor(Math.min(cellWidth, cellHeight * ASPECT_MAX));
    const tileHeight = Math.floor(Math.min(cellHeight, tileWidth / ASPECT_MIN));
    if (tileWidth * tileHeight > best.width * best.height) best = { columns, width: tileWidth, height: tileHeight };
  }
  return best;
}
