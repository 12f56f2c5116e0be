// The streams that all peers of a call receive from each other.

import assert from 'node:assert/strict';
import { progress, streamsIn, streamsOf } from './peers.js';
import { until } from './wait.js';

/** Audio packets for which a peer counts as heard: two seconds of them. */
const PACKETS = 100;

/**
 * Every peer sees and hears all others: at least this many more frames of each video, and packets of each
 * audio stream that is not silence. At most `lostMax` packets are lost.
 */
export async function seeAndHear(peers, { frames: least, lostMax = 5 }) {
  const before = await Promise.all(peers.map((peer) => peer.received()));
  for (const [index, peer] of peers.entries()) {
    const others = peers.filter((other) => other !== peer).map(({ name }) => name);
    let streams = [];
    const arrived = async () => {
      streams = progress(before[index], await peer.received());
      const isWhole = ({ kind, frames, packets, energy }) =>
        kind === 'video' ? frames >= least : packets >= PACKETS && energy > 0;
      return streamsIn(streams).join() === streamsOf(others).join() && streams.every(isWhole);
    };
    await until('', arrived).catch(() => {
      throw new Error(`${peer.name} should have ${least} frames of each picture, and sound: ${JSON.stringify(streams)}`);
    });
    for (const { from, kind, lost } of streams)
      assert.ok(lost <= lostMax, `${kind} of ${from} at ${peer.name}: ${lost} packets lost on loopback`);
  }
}
