// A call whose peers are on two workers of the engine: one thread receives, and another sends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace', 'Katherine'];

test('a call of three over two workers', TEST_LIMIT, async (t) => {
  await inRoom(t, { names, args: ['--spread-above', '0'] }, async ({ leat, peers, step }) => {
    await step('they are at both workers', async () => {
      const ports = new Set();
      for (const peer of peers) {
        for (const { port } of await peer.pairs()) ports.add(port);
      }
      assert.deepEqual([...ports].sort(), leat.rtcPorts);
    });

    await step('every peer sees and hears both others', async () => {
      await seeAndHear(peers, { frames: 50 });
    });

    await step('a peer that leaves is removed at the other worker too', async () => {
      const [ada, grace, katherine] = peers;
      await grace.press('Leave the call');
      for (const [peer, left] of [
        [ada, 'Katherine'],
        [katherine, 'Ada'],
      ]) {
        const isAlone = async () => (await peer.tiles()).join() === left;
        await until(`${peer.name} sees ${left} only`, isAlone);
      }
    });
  });
});

test('a call of three over two workers that share one UDP port', TEST_LIMIT, async (t) => {
  const args = ['--spread-above', '0', '--rtc-shared-port'];
  await inRoom(t, { names, args }, async ({ leat, peers }) => {
    const ports = new Set();
    for (const peer of peers) {
      for (const { port } of await peer.pairs()) ports.add(port);
    }
    assert.deepEqual([...ports], [leat.rtcPorts[0]]);
    await seeAndHear(peers, { frames: 50 });
  });
});
