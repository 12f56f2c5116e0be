// Engine and signaling one protocol version apart (docs/ring.md, "Versions"): calls work, and survive an upgrade of signaling.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace'];

/** The protocol versions in the line that signaling logs when it attaches. */
function versionsIn(log) {
  const lines = [...log.matchAll(/engine[":= ]+(\d+).*?signaling[":= ]+(\d+)/g)];
  return lines.map(([, engine, signaling]) => Number(signaling) - Number(engine));
}

for (const [newer, difference] of [
  ['leat-signaling', 1],
  ['leat-engine', -1],
]) {
  test(`${newer} is one protocol version newer: a call of two`, TEST_LIMIT, async (t) => {
    // Built with the feature `next-protocol` of leat-control, as in `cargo build --workspace --bins --tests`.
    const env = { LEAT_NEXT_PROTOCOL: newer, LEAT_LOG: 'info' };
    await inRoom(t, { names, env }, async ({ leat, peers, step }) => {
      await step('the versions differ by one', async () => {
        await until('signaling logs the versions', () => versionsIn(leat.log).length > 0);
        assert.deepEqual(versionsIn(leat.log), [difference], leat.log);
      });

      await step('both see and hear each other', async () => {
        await seeAndHear(peers, { frames: 50 });
      });

      await step('signaling is replaced while media flows', async () => {
        const dead = leat.crash('leat-signaling');
        await until('leat up starts signaling again', () => ![null, dead].includes(leat.pidOf('leat-signaling')));
        for (const peer of peers) await until(`the socket of ${peer.name} is back`, () => peer.online());
        await seeAndHear(peers, { frames: 50 });
        for (const peer of peers) {
          const dropped = (await peer.history()).filter(({ what }) => /ICE_DISCONNECT|media dropped/.test(what));
          assert.deepEqual(dropped, [], `the media of ${peer.name}`);
        }
      });
    });
  });
}
