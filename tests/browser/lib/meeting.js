// What everybody in a call gets of everybody else.

import assert from 'node:assert/strict';
import { progress, streamsIn, streamsOf } from './peers.js';
import { sleep } from './wait.js';

/** Every peer sees and hears all others for so many seconds, of each picture at least so many frames. */
export async function seeAndHear(peers, { seconds, frames: least }) {
  const before = await Promise.all(peers.map((peer) => peer.received()));
  await sleep(seconds * 1_000);
  for (const [index, peer] of peers.entries()) {
    const streams = progress(before[index], await peer.received());
    const others = peers.filter((other) => other !== peer).map(({ name }) => name);
    assert.deepEqual(streamsIn(streams), streamsOf(others), `streams at ${peer.name}`);
    for (const { from, kind, frames, energy, lost } of streams) {
      const what = `${kind} of ${from} at ${peer.name}`;
      // 15 a second are captured. Room for a busy machine, and none for a stopped stream.
      if (kind === 'video') assert.ok(frames >= least, `${what}: ${frames} frames in ${seconds} s`);
      else assert.ok(energy > 0, `${what}: no sound in ${seconds} s`);
      assert.ok(lost <= 5, `${what}: ${lost} packets lost on loopback`);
    }
  }
}
