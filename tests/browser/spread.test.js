// A call whose peers are at two workers of the engine: what one thread receives, another sends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progress, streamsIn, streamsOf } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { sleep, until } from './lib/wait.js';

const names = ['Ada', 'Grace', 'Katherine'];

test('a call of three over two workers', { timeout: 120_000 }, async (t) => {
  await inRoom(t, { names, args: ['--spread-above', '0'] }, async ({ leat, peers, step }) => {
    await step('they are at both workers', async () => {
      const ports = new Set();
      for (const peer of peers) {
        for (const { port } of await peer.pairs()) ports.add(port);
      }
      assert.deepEqual([...ports].sort(), leat.rtcPorts);
    });

    await step('every peer sees and hears both others for five seconds', async () => {
      const before = await Promise.all(peers.map((peer) => peer.received()));
      await sleep(5_000);
      for (const [index, peer] of peers.entries()) {
        const streams = progress(before[index], await peer.received());
        const others = names.filter((name) => name !== peer.name);
        assert.deepEqual(streamsIn(streams), streamsOf(others), `streams at ${peer.name}`);
        for (const { from, kind, frames, energy, lost } of streams) {
          const what = `${kind} of ${from} at ${peer.name}`;
          // 15 a second are captured. Room for a busy machine, and none for a stopped stream.
          if (kind === 'video') assert.ok(frames >= 50, `${what}: ${frames} frames in 5 s`);
          else assert.ok(energy > 0, `${what}: no sound in 5 s`);
          assert.ok(lost <= 5, `${what}: ${lost} packets lost on loopback`);
        }
      }
    });

    await step('who leaves is gone at the other worker too', async () => {
      const [ada, grace, katherine] = peers;
      await grace.press('Leave the call');
      for (const [peer, left] of [
        [ada, 'Katherine'],
        [katherine, 'Ada'],
      ]) {
        const isAlone = async () => (await peer.tiles()).join() === left;
        await until(`${peer.name} sees ${left} only`, isAlone, { timeoutMs: 3_000 });
      }
    });
  });
});
