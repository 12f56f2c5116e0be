// A publisher with layers, and a subscriber who moves through them.

import assert from 'node:assert/strict';
import { CAPTURE_720, constrainCamera, withoutDevices } from './peers.js';
import { inRoom } from './room.js';
import { PATIENCE_MS, until } from './wait.js';

/** Lines of each spatial layer of a 720p camera. */
const HEIGHTS = [180, 360, 720];
/** Every spatial layer from every other one. */
const MOVES = [0, 1, 2, 1, 0, 2, 0];
/** Half a second of the camera. */
const STILL_FRAMES_MAX = 15;

export const mediaYml = (codec, scalabilityMode) =>
  `video:\n  codecs:\n    - name: ${codec}\n      priority: 100\n  scalabilityMode: ${scalabilityMode}\n`;

/**
 * Ada sends a 720p camera in `codec` with three sizes and three frame rates, Grace only watches; `story` gets both once the picture is whole. The uplink's
 * estimate has to rise before all sizes are sent. `options` are both peers', as `Peer.open` takes them; `prepare` gets Grace before she has to see anything.
 */
export async function withLayers(t, { codec, mode, options = {}, prepare = async () => undefined }, story) {
  await inRoom(t, { names: [], media: mediaYml(codec, mode), frameRate: CAPTURE_720.frameRate }, async (room) => {
    const ada = await room.enter('Ada', { ...options, camera: [constrainCamera, CAPTURE_720] });
    await ada.connected();
    const grace = await room.enter('Grace', { ...options, camera: [withoutDevices] });
    await grace.connected();
    await prepare(grace);
    await grace.receives(['Ada']);
    await grace.pin('Ada', { spatialLayer: 2, temporalLayer: 2 });
    await showsLines(grace, 'Ada', 720);
    await story({ ...room, ada, grace });
  });
}

export async function showsLines(peer, from, height) {
  let row;
  const arrived = async () => {
    row = await peer.stream(from, 'video');
    return row?.height === height;
  };
  try {
    // Large sizes wait for the browser's estimate, and a busy machine looks to it like a congested network.
    await until('', arrived, { timeoutMs: 3 * PATIENCE_MS, everyMs: 50 });
  } catch {
    throw new Error(`${from} at ${peer.name} has no ${height} lines: ${JSON.stringify(row)}`);
  }
}

/** Frames that somebody encodes in all sizes together, of the size of which there are most. */
export async function encoded(peer) {
  const rows = (await peer.sent()).filter(({ kind }) => kind === 'video');
  return Math.max(0, ...rows.map(({ frames }) => frames));
}

/**
 * Waits for a condition, and meanwhile watches that a picture moves: it stands still when its sender has encoded `STILL_FRAMES_MAX` frames and more
 * between two looks at which the viewer had decoded the same number. Both are counted, so a busy machine, on which both are slow, changes nothing.
 */
export async function movesUntil(what, { ada, grace }, condition) {
  let [decoded, since, still] = [-1, 0, 0];
  await until(
    what,
    async () => {
      // Before and after: the frames between are certainly encoded while the viewer's count was the same.
      const [sent, row] = [await encoded(ada), await grace.stream('Ada', 'video')];
      if (row.frames !== decoded) [decoded, since] = [row.frames, await encoded(ada)];
      else still = Math.max(still, sent - since);
      return condition(row);
    },
    { timeoutMs: 3 * PATIENCE_MS },
  );
  assert.ok(still < STILL_FRAMES_MAX, `${what}: the picture stood still for ${still} frames`);
}

/** A second of the camera: within so many frames a size that was switched off is on again. */
export const BACK_FRAMES_MAX = 30;

/** How many frames somebody encodes from now on until `condition` holds for what is sent. */
export async function framesUntil(peer, condition) {
  const before = await encoded(peer);
  let rows = [];
  await until(
    'it is on',
    async () => {
      rows = (await peer.sent()).filter(({ kind }) => kind === 'video');
      return condition(rows);
    },
    { everyMs: 20 },
  );
  return Math.max(...rows.map(({ frames }) => frames)) - before;
}

/** The share of the sender's frames that the viewer decodes, over so many frames of the sender. */
async function share({ ada, grace }, frames = 90) {
  const before = [(await grace.stream('Ada', 'video')).frames, await encoded(ada)];
  let after = before;
  await until(`Ada encodes ${frames} frames`, async () => {
    after = [(await grace.stream('Ada', 'video')).frames, await encoded(ada)];
    return after[1] - before[1] >= frames;
  });
  return (after[0] - before[0]) / (after[1] - before[1]);
}

/** From every size to every other one. */
async function moveThroughSizes({ ada, grace }) {
  for (const spatialLayer of MOVES) {
    await grace.pin('Ada', { spatialLayer, temporalLayer: 2 });
    await movesUntil(`size ${spatialLayer}`, { ada, grace }, ({ height }) => height === HEIGHTS[spatialLayer]);
    await until('the server says so', async () => (await grace.layersOf('Ada'))?.spatialLayer === spatialLayer);
    // Pictures of that size go on coming.
    const { frames } = await grace.stream('Ada', 'video');
    await movesUntil('it moves', { ada, grace }, (row) => row.frames > frames + 10);
    assert.equal((await grace.stream('Ada', 'video')).height, HEIGHTS[spatialLayer]);
  }
}

/** The subscriber goes from every size to every other one, and through the frame rates; the picture never stands still on the way. */
export async function movesThroughAllLayers(t, { ada, grace }, mimeType) {
  const before = await grace.stream('Ada', 'video');
  assert.equal(before.codec, mimeType);
  await moveThroughSizes({ ada, grace });
  const after = await grace.stream('Ada', 'video');
  t.diagnostic(`the browser counts ${after.freezes - before.freezes} freezes; a busy machine makes some`);

  // Chromium counts every spatial layer as a frame: until those that are not watched any more are off, the sender seems to encode thrice as many.
  await grace.pin('Ada', { spatialLayer: 0, temporalLayer: 2 });
  await share({ ada, grace }, 270);
  const shares = [];
  for (const temporalLayer of [2, 1, 0]) {
    await grace.pin('Ada', { spatialLayer: 0, temporalLayer });
    await until('the server says so', async () => (await grace.layersOf('Ada'))?.temporalLayer === temporalLayer);
    shares.push(await share({ ada, grace }));
  }
  t.diagnostic(
    `${mimeType}: ${shares.map((share) => share.toFixed(2)).join(', ')} of the frames with 3, 2 and 1 temporal layers`,
  );
  // Half and half again.
  assert.ok(shares[0] > shares[1] * 1.3 && shares[1] > shares[2] * 1.3, `shares of the frames ${shares}`);
}
