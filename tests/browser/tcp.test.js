// Calls over TCP where UDP is blocked (RFC 6544, RFC 4571).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace'];

test('a call of two over TCP alone', TEST_LIMIT, async (t) => {
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

    await step('each sees and hears the other', () => seeAndHear(peers, { frames: 50 }));
  });
});

test('UDP is used where it works', TEST_LIMIT, async (t) => {
  await inRoom(t, { names }, async ({ peers, step }) => {
    await step('every pair in use is UDP', async () => {
      for (const peer of peers) {
        // A TCP pair may have been selected first.
        const protocols = async () => (await peer.pairs()).map(({ protocol }) => protocol);
        await until(`${peer.name} sends and receives over UDP`, async () => (await protocols()).join() === 'udp,udp');
      }
    });
  });
});
