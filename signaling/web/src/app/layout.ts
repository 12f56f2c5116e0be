// The number of columns with the largest tiles.

export interface Layout {
  columns: number;
  /** Of one tile, in CSS pixels. */
  width: number;
  height: number;
}

/**
 * Cameras give 16:9. An upright phone gets upright tiles; in a wide window little of the picture is cut off.
 */
const ASPECT_MAX = 16 / 9;
const ASPECT_MIN_WIDE = 6 / 5;
const ASPECT_MIN_UPRIGHT = 3 / 4;

/**
 * Of all column counts, the one with the largest tiles. Tiles fill their cell within the aspect ratios above.
 * `width` and `height` are those of the space to fill; `gap` is the distance between tiles.
 */
export function layout(tiles: number, width: number, height: number, gap: number): Layout {
  const aspectMin = width > height ? ASPECT_MIN_WIDE : ASPECT_MIN_UPRIGHT;
  let best: Layout = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, tiles); columns += 1) {
    const rows = Math.ceil(Math.max(1, tiles) / columns);
    const cellWidth = Math.max(0, (width - gap * (columns - 1)) / columns);
    const cellHeight = Math.max(0, (height - gap * (rows - 1)) / rows);
    const tileWidth = Math.floor(Math.min(cellWidth, cellHeight * ASPECT_MAX));
    const tileHeight = Math.floor(Math.min(cellHeight, tileWidth / aspectMin));
    if (tileWidth * tileHeight > best.width * best.height) best = { columns, width: tileWidth, height: tileHeight };
  }
  return best;
}
