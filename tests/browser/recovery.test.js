// The steps after a lost media path, caused by `Call.faults`: a relay, and a new join.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace'];

const types = async (peer) => (await peer.pairs()).map(({ type }) => type);
const fault = (peer, name) => peer.page.evaluate((name) => window.__leat.call.faults[name](), name);
const restored = async (peer, step) => {
  const pattern = new RegExp(`^media path restored by ${step} after (\\d+) ms$`);
  const gaps = (await peer.history()).flatMap(({ what }) => pattern.exec(what)?.[1] ?? []);
  return gaps.map(Number);
};

test('a call goes over to a relay, back to all paths with a new join, and restarts ICE', TEST_LIMIT, async (t) => {
  await inRoom(t, { names }, async ({ peers, step }) => {
    const [ada, grace] = peers;

    await step('over a relay', async () => {
      assert.ok(!(await types(ada)).includes('relay'), 'a direct path before');
      await fault(ada, 'switchToRelay');
      await until('the path is back', async () => (await restored(ada, 'relay')).length === 1);
      await ada.connected();
      await Promise.all([ada.receives(['Grace']), grace.receives(['Ada'])]);
      assert.deepEqual(await types(ada), ['relay', 'relay']);
      await seeAndHear(peers, { frames: 15, lostMax: 100 });
      t.diagnostic(`media gap: ${await restored(ada, 'relay')} ms`);
    });

    await step('with a new join', async () => {
      const peerId = () => ada.page.evaluate(() => window.__leat.store.getState().call.peerId);
      const before = await peerId();
      await fault(ada, 'rejoin');
      await until('the path is back', async () => (await restored(ada, 'newTransports')).length === 1);
      await ada.connected();
      await Promise.all([ada.receives(['Grace']), grace.receives(['Ada'])]);
      assert.equal(await peerId(), before, 'the same place in the room');
      assert.ok(!(await types(ada)).includes('relay'), 'a direct path again');
    });

    await step('by an ICE restart', async () => {
      const count = async () => (await ada.received()).reduce((sum, { packets }) => sum + packets, 0);
      await fault(ada, 'restartIce');
      const before = await count();
      await until('packets arrive', async () => (await count()) > before + 200);
      assert.equal(await ada.session(), 'Connected');
    });

    await step('the tiles have a level, and the panel has plots', async () => {
      const shown = () => ada.page.locator('.tile [data-quality]').count();
      await until('levels of both tiles', async () => (await shown()) === 2);
      await ada.press('Statistics');
      await until('plots', async () => (await ada.page.locator('.statistics polyline').count()) >= 12);
      await ada.screenshot('statistics.png');
    });
  });
});
