// A call survives the crash of either server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { CAPTURE, progress } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { PATIENCE_MS, TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace', 'Katherine'];

/**
 * A camera that began with a smaller picture changes to its full size with a keyframe, at which its encoder
 * may pause for too long. Waits until all cameras have, or until none has changed its size for six seconds:
 * one whose estimate does not rise keeps the smaller size.
 */
async function settled(peers) {
  let [sizes, since] = ['', Date.now()];
  await until(
    'cameras keep their sizes',
    async () => {
      const rows = (await Promise.all(peers.map((peer) => peer.received()))).flat();
      const heights = rows.filter(({ kind }) => kind === 'video').map(({ height }) => height);
      if (heights.join() !== sizes) [sizes, since] = [heights.join(), Date.now()];
      return heights.every((height) => height === CAPTURE.height) || Date.now() - since > 6_000;
    },
    { timeoutMs: 3 * PATIENCE_MS },
  );
}

test('kill -9 of signaling: media is not affected', TEST_LIMIT, async (t) => {
  await inRoom(t, { names }, async ({ leat, peers, enter, step }) => {
    for (const peer of peers) await peer.mark();
    // The first frames of a stream, while the estimate rises, are not part of this test.
    await seeAndHear(peers, { frames: 60 });
    await settled(peers);

    const before = await Promise.all(peers.map((peer) => peer.received()));
    const histories = await Promise.all(peers.map(async (peer) => (await peer.history()).length));
    // While `leat up` is stopped, nothing restarts signaling: media that arrives now arrives without it.
    leat.pause();
    const dead = leat.crash('leat-signaling');
    try {
      for (const peer of peers) await until(`the socket of ${peer.name} is lost`, async () => !(await peer.online()));
      await seeAndHear(peers, { frames: 45, lostMax: 0 });
      for (const peer of peers) assert.equal(await peer.online(), false, `the socket of ${peer.name} while signaling is dead`);
    } finally {
      leat.resume();
    }

    await until('leat up starts signaling again', () => ![null, dead].includes(leat.pidOf('leat-signaling')));
    for (const peer of peers) await until(`the socket of ${peer.name} is back`, () => peer.online());
    await seeAndHear(peers, { frames: 45, lostMax: 0 });

    for (const [index, peer] of peers.entries()) {
      for (const { from, kind, lost, freezes } of progress(before[index], await peer.received())) {
        assert.equal(lost, 0, `${kind} of ${from} at ${peer.name}: packets lost`);
        if (kind === 'video')
          t.diagnostic(`${from} at ${peer.name}: the browser counts ${freezes} freezes; a busy machine makes some`);
      }
      assert.ok(await peer.isMarked(), `${peer.name} reloaded`);
      const since = (await peer.history()).slice(histories[index]).map(({ what }) => what);
      assert.ok(
        !since.some((what) => /ICE_DISCONNECT|media dropped/.test(what)),
        `the media of ${peer.name} was touched: ${since.join(' | ')}`,
      );
      assert.ok(
        since.some((what) => what.startsWith('joined again')),
        `${peer.name} did not resume: ${since.join(' | ')}`,
      );
    }

    await step('sizes without subscribers are off again', async () => {
      // Every peer shows all others large: of the two sizes, 180 and 360 lines, the small one has no
      // subscribers.
      for (const peer of peers) {
        const small = async () => (await peer.sent()).find(({ rid }) => rid === 'r0');
        await until(`the small picture of ${peer.name} is off`, async () => !(await small()).active);
      }
    });

    await step('a fourth peer can join, receives all others and is received by all', async () => {
      const mary = await enter('Mary');
      await mary.connected();
      await mary.receives(names);
      for (const peer of peers.filter(({ name }) => name !== 'Mary')) await peer.receives(['Mary']);
      await mary.screenshot('after-signaling-restart.png');
    });
  });
});

test('kill -9 of the engine: back in the call at the first attempt', TEST_LIMIT, async (t) => {
  await inRoom(t, { names }, async ({ leat, peers }) => {
    for (const peer of peers) await peer.mark();
    await seeAndHear(peers, { frames: 30 });
    const histories = await Promise.all(peers.map(async (peer) => (await peer.history()).length));

    const dead = leat.crash('leat-engine');
    const killedAt = Date.now();
    const since = async (index) => (await peers[index].history()).slice(histories[index]).map(({ what }) => what);
    for (const index of peers.keys()) {
      await until(`${peers[index].name} is notified`, async () =>
        (await since(index)).some((what) => what.startsWith('media lost')),
      );
    }
    await until('leat up starts the engine again', () => ![null, dead].includes(leat.pidOf('leat-engine')));
    await Promise.all(peers.map((peer) => peer.receives(names.filter((name) => name !== peer.name))));
    t.diagnostic(`all peers see and hear each other ${Date.now() - killedAt} ms after the kill`);

    // The video continues: more than one keyframe arrives.
    await seeAndHear(peers, { frames: 30 });
    for (const [index, peer] of peers.entries()) {
      const history = await since(index);
      // The server's notification arrived before ICE failed, which takes seconds; and no attempt failed,
      // which would delay the next.
      const of = (pattern) => history.findIndex((what) => pattern.test(what));
      assert.ok(of(/^media lost/) < of(/ICE_DISCONNECT/), `${peer.name} was not notified first: ${history.join(' | ')}`);
      assert.equal(history.filter((what) => /^media lost/.test(what)).length, 1, history.join(' | '));
      assert.ok(!history.some((what) => /failed|could not be connected/.test(what)), `${peer.name}: ${history.join(' | ')}`);
      await until(`${peer.name} is connected`, async () => (await peer.session()) === 'Connected');
      assert.ok(await peer.isMarked(), `${peer.name} reloaded`);
      assert.deepEqual(await peer.tiles(), names.filter((name) => name !== peer.name).sort());
    }
  });
});
