// Where UDP is blocked: calls over TCP (RFC 6544, RFC 4571).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progress, streamsIn, streamsOf } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { sleep, until } from './lib/wait.js';

const names = ['Ada', 'Grace'];

test('a call of two over TCP alone', { timeout: 120_000 }, async (t) => {
  await inRoom(t, { names, args: ['--no-udp-candidates'] }, async ({ peers, step }) => {
    await step('both publish and watch over TCP', async () => {
      for (const peer of peers) {
        const pairs = await peer.pairs();
        assert.deepEqual(
          pairs.map(({ direction, protocol, tcpType }) => `${direction} ${protocol} ${tcpType}`).sort(),
          ['recv tcp active', 'send tcp active'],
          `pairs of ${peer.name}`,
        );
      }
    });

    await step('each sees and hears the other for five seconds', async () => {
      const before = await Promise.all(peers.map((peer) => peer.received()));
      await sleep(5_000);
      for (const [index, peer] of peers.entries()) {
        const streams = progress(before[index], await peer.received());
        assert.deepEqual(streamsIn(streams), streamsOf(names.filter((name) => name !== peer.name)), `streams at ${peer.name}`);
        for (const { from, kind, frames, energy, lost } of streams) {
          const what = `${kind} of ${from} at ${peer.name}`;
          // 15 a second are captured; two thirds leave room for a busy machine and none for a stopped stream.
          if (kind === 'video') assert.ok(frames >= 50, `${what}: ${frames} frames in 5 s`);
          else assert.ok(energy > 0, `${what}: no sound in 5 s`);
          assert.ok(lost <= 5, `${what}: ${lost} packets lost over TCP`);
        }
      }
    });
  });
});

test('where UDP works it is taken', { timeout: 120_000 }, async (t) => {
  await inRoom(t, { names }, async ({ peers, step }) => {
    await step('every pair in use is UDP', async () => {
      for (const peer of peers) {
        // A TCP pair may have been there first.
        const protocols = async () => (await peer.pairs()).map(({ protocol }) => protocol);
        await until(`${peer.name} sends and receives over UDP`, async () => (await protocols()).join() === 'udp,udp');
      }
    });
  });
});
