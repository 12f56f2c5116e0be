// A publisher with layers, and a subscriber that switches between them.

import assert from 'node:assert/strict';
import { CAPTURE_720, constrainCamera, withoutDevices } from './peers.js';
import { inRoom } from './room.js';
import { PATIENCE_MS, until } from './wait.js';

/** Height in lines of each spatial layer of a 720p camera. */
const HEIGHTS = [180, 360, 720];
/** From every spatial layer to every other one. */
const MOVES = [0, 1, 2, 1, 0, 2, 0];
/** Half a second of the camera. */
const STILL_FRAMES_MAX = 15;

export const mediaYml = (codec, scalabilityMode) =>
  `video:\n  codecs:\n    - name: ${codec}\n      priority: 100\n  scalabilityMode: ${scalabilityMode}\n`;

/**
 * Ada sends a 720p camera in `codec` with three sizes and three frame rates, Grace only receives; `body` gets
 * both once the full picture arrives. The uplink's estimate must rise before all sizes are sent. `options`
 * are both peers', for `Peer.open`; `prepare` gets Grace before any video must arrive.
 */
export async function withLayers(t, { codec, mode, options = {}, prepare = async () => undefined }, body) {
  await inRoom(t, { names: [], media: mediaYml(codec, mode), frameRate: CAPTURE_720.frameRate }, async (room) => {
    const ada = await room.enter('Ada', { ...options, camera: [constrainCamera, CAPTURE_720] });
    await ada.connected();
    const grace = await room.enter('Grace', { ...options, camera: [withoutDevices] });
    await grace.connected();
    await prepare(grace);
    await grace.receives(['Ada']);
    await grace.pin('Ada', { spatialLayer: 2, temporalLayer: 2 });
    await showsLines(grace, 'Ada', 720);
    await body({ ...room, ada, grace });
  });
}

export async function showsLines(peer, from, height) {
  let row;
  const arrived = async () => {
    row = await peer.stream(from, 'video');
    return row?.height === height;
  };
  try {
    // Large sizes wait for the browser's estimate, which takes a busy machine for a congested network.
    await until('', arrived, { timeoutMs: 3 * PATIENCE_MS, everyMs: 50 });
  } catch {
    throw new Error(`${from} at ${peer.name} has no ${height} lines: ${JSON.stringify(row)}`);
  }
}

/** Frames that a peer has encoded: the count of the size with the most frames. */
export async function encoded(peer) {
  const rows = (await peer.sent()).filter(({ kind }) => kind === 'video');
  return Math.max(0, ...rows.map(({ frames }) => frames));
}

/**
 * Waits for a condition, and checks that the video does not freeze: it has frozen if its sender encoded
 * `STILL_FRAMES_MAX` frames or more between two samples in which the viewer's number of decoded frames was
 * the same. Both are counts, so a busy machine, on which both are slow, changes nothing.
 */
export async function movesUntil(what, { ada, grace }, condition) {
  let [decoded, since, still] = [-1, 0, 0];
  await until(
    what,
    async () => {
      // Read before and after: the frames between are certainly encoded while the viewer's count was the
      // same.
      const [sent, row] = [await encoded(ada), await grace.stream('Ada', 'video')];
      if (row.frames !== decoded) [decoded, since] = [row.frames, await encoded(ada)];
      else still = Math.max(still, sent - since);
      return condition(row);
    },
    { timeoutMs: 3 * PATIENCE_MS },
  );
  assert.ok(still < STILL_FRAMES_MAX, `${what}: the picture was frozen for ${still} frames`);
}

/** A second of the camera: a size that was switched off is on again within this many frames. */
export const BACK_FRAMES_MAX = 30;

/** The number of frames that a peer encodes until `condition` is true for its encodings. */
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

/** The share of the sender's frames that the viewer decodes, measured over this many frames of the sender. */
async function share({ ada, grace }, frames = 60) {
  const before = [(await grace.stream('Ada', 'video')).frames, await encoded(ada)];
  let after = before;
  await until(`Ada encodes ${frames} frames`, async () => {
    after = [(await grace.stream('Ada', 'video')).frames, await encoded(ada)];
    return after[1] - before[1] >= frames;
  });
  return (after[0] - before[0]) / (after[1] - before[1]);
}

/** The peer sends one encoding, and it has one size. */
async function sendsOneSize(peer) {
  const rows = (await peer.sent()).filter(({ kind, active }) => kind === 'video' && active);
  return rows.length === 1 && !/^L[23]/.test(rows[0].mode);
}

/** From every size to every other one. */
async function moveThroughSizes({ ada, grace }) {
  for (const spatialLayer of MOVES) {
    await grace.pin('Ada', { spatialLayer, temporalLayer: 2 });
    await movesUntil(`size ${spatialLayer}`, { ada, grace }, ({ height }) => height === HEIGHTS[spatialLayer]);
    await until('the server reports it', async () => (await grace.layersOf('Ada'))?.spatialLayer === spatialLayer);
    // The viewer continues to receive pictures of that size.
    const { frames } = await grace.stream('Ada', 'video');
    await movesUntil('it moves', { ada, grace }, (row) => row.frames > frames + 10);
    assert.equal((await grace.stream('Ada', 'video')).height, HEIGHTS[spatialLayer]);
  }
}

/**
 * The subscriber switches from every size to every other one, and through the frame rates; the picture never
 * freezes.
 */
export async function movesThroughAllLayers(t, { ada, grace }, mimeType) {
  const before = await grace.stream('Ada', 'video');
  assert.equal(before.codec, mimeType);
  await moveThroughSizes({ ada, grace });
  const after = await grace.stream('Ada', 'video');
  t.diagnostic(`the browser counts ${after.freezes - before.freezes} freezes; a busy machine makes some`);

  // Chromium counts every spatial layer as a frame: the sender would seem to encode three times as many.
  await grace.pin('Ada', { spatialLayer: 0, temporalLayer: 2 });
  await until('Ada sends one size', () => sendsOneSize(ada));
  const shares = [];
  for (const temporalLayer of [2, 1, 0]) {
    await grace.pin('Ada', { spatialLayer: 0, temporalLayer });
    await until('the server reports it', async () => (await grace.layersOf('Ada'))?.temporalLayer === temporalLayer);
    shares.push(await share({ ada, grace }));
  }
  t.diagnostic(
    `${mimeType}: ${shares.map((share) => share.toFixed(2)).join(', ')} of the frames with 3, 2 and 1 temporal layers`,
  );
  // Each step halves the frame rate.
  assert.ok(shares[0] > shares[1] * 1.3 && shares[1] > shares[2] * 1.3, `shares of the frames ${shares}`);
}
