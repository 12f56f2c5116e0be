// A publisher with layers, and a subscriber who moves through them.

import assert from 'node:assert/strict';
import { CAPTURE_720, constrainCamera, withoutDevices } from './peers.js';
import { inRoom } from './room.js';
import { sleep, until } from './wait.js';

/** Lines of each spatial layer of a 720p camera. */
const HEIGHTS = [180, 360, 720];
/** Every spatial layer from every other one. */
const MOVES = [0, 1, 2, 1, 0, 2, 0];
const ROUNDS_MAX = 3;

export const mediaYml = (codec, scalabilityMode) =>
  `video:\n  codecs:\n    - name: ${codec}\n      priority: 1\n  scalabilityMode: ${scalabilityMode}\n`;

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
    await showsLines(grace, 'Ada', 720, 20_000);
    await story({ ...room, ada, grace });
  });
}

export async function showsLines(peer, from, height, timeoutMs = 10_000) {
  let row;
  const arrived = async () => {
    row = await peer.stream(from, 'video');
    return row?.height === height;
  };
  try {
    await until('', arrived, { timeoutMs, everyMs: 50 });
  } catch {
    throw new Error(`${from} at ${peer.name} has no ${height} lines after ${timeoutMs} ms: ${JSON.stringify(row)}`);
  }
}

/** Frames a second of somebody's picture, over a while. */
async function rate(peer, from, ms = 2_000) {
  const [before, start] = [await peer.stream(from, 'video'), Date.now()];
  await sleep(ms);
  const [after, end] = [await peer.stream(from, 'video'), Date.now()];
  return ((after.frames - before.frames) * 1_000) / (end - start);
}

/** From every size to every other one; gives what froze, move by move. */
async function moveThroughSizes(grace) {
  const frozen = [];
  for (const spatialLayer of MOVES) {
    const before = await grace.stream('Ada', 'video');
    await grace.pin('Ada', { spatialLayer, temporalLayer: 2 });
    await showsLines(grace, 'Ada', HEIGHTS[spatialLayer]);
    await until('the server says so', async () => (await grace.layersOf('Ada'))?.spatialLayer === spatialLayer);
    // Pictures of that size go on coming.
    const { frames } = await grace.stream('Ada', 'video');
    await until('it moves', async () => (await grace.stream('Ada', 'video')).frames > frames + 10);
    const after = await grace.stream('Ada', 'video');
    assert.equal(after.height, HEIGHTS[spatialLayer]);
    if (after.freezes > before.freezes) frozen.push(`${after.freezes - before.freezes} on the way to ${spatialLayer}`);
  }
  return frozen;
}

/**
 * The subscriber goes from every size to every other one, and through the frame rates; nothing freezes on the way. A machine that is busy with something else
 * may take two pictures' time from the browser in any round; a freeze that the server makes comes in every one.
 */
export async function movesThroughAllLayers(t, { grace }, mimeType) {
  assert.equal((await grace.stream('Ada', 'video')).codec, mimeType);
  const rounds = [];
  do rounds.push(await moveThroughSizes(grace));
  while (rounds.at(-1).length > 0 && rounds.length < ROUNDS_MAX);
  if (rounds.length > 1) t.diagnostic(`freezes: ${rounds.map((frozen) => frozen.join(', ') || 'none').join('; then ')}`);
  assert.deepEqual(rounds.at(-1), [], 'freezes');

  const rates = [];
  for (const temporalLayer of [2, 1, 0]) {
    await grace.pin('Ada', { spatialLayer: 0, temporalLayer });
    await until('the server says so', async () => (await grace.layersOf('Ada'))?.temporalLayer === temporalLayer);
    rates.push(await rate(grace, 'Ada'));
  }
  t.diagnostic(`${mimeType}: ${rates.map((rate) => rate.toFixed(1)).join(', ')} frames/s with 3, 2 and 1 temporal layers`);
  // Half and half again; a busy machine makes the first one less.
  assert.ok(rates[0] > rates[1] * 1.3 && rates[1] > rates[2] * 1.3, `frame rates ${rates}`);
}
