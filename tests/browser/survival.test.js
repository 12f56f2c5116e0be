// What a call survives: the death of either server, while people talk.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAPTURE, progress, streamsIn, streamsOf } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { sleep, until } from './lib/wait.js';

const names = ['Ada', 'Grace', 'Katherine'];

/** Samples every peer's video twice a second until stopped. */
function watch(peers) {
  const samples = peers.map(() => []);
  let watching = true;
  const done = (async () => {
    while (watching) {
      const rows = await Promise.all(peers.map((peer) => peer.received()));
      for (const [index, row] of rows.entries()) samples[index].push({ at: Date.now(), rows: row });
      await sleep(500);
    }
  })();
  return async () => {
    watching = false;
    await done;
    return samples;
  };
}

/**
 * A camera that began with a smaller picture goes over to its own size by a keyframe, at which its encoder may pause for too long. Waits until all have,
 * or until none has changed its size for six seconds: one whose estimate does not rise keeps the smaller one.
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
    { timeoutMs: 60_000 },
  );
}

test('kill -9 of signaling: media does not notice', { timeout: 180_000 }, async (t) => {
  await inRoom(t, { names }, async ({ leat, peers, enter, step }) => {
    for (const peer of peers) await peer.mark();
    // The first seconds of a stream, when the estimate rises, are not what this is about.
    await sleep(4_000);
    await settled(peers);

    const stop = watch(peers);
    const before = await Promise.all(peers.map((peer) => peer.received()));
    const histories = await Promise.all(peers.map(async (peer) => (await peer.history()).length));
    const dead = leat.crash('leat-signaling');
    const killedAt = Date.now();

    await until('leat up starts signaling again', () => ![null, dead].includes(leat.pidOf('leat-signaling')), {
      timeoutMs: 10_000,
    });
    for (const peer of peers) {
      await until(`the socket of ${peer.name} is back`, () => peer.online(), { timeoutMs: 15_000 });
    }
    t.diagnostic(`all sockets back ${Date.now() - killedAt} ms after the kill`);
    await sleep(3_000);
    const samples = await stop();

    for (const [index, peer] of peers.entries()) {
      const after = await peer.received();
      const expected = streamsOf(names.filter((name) => name !== peer.name));
      assert.deepEqual(streamsIn(after), expected, `streams at ${peer.name}`);
      for (const { from, kind, frames, freezes, lost, energy } of progress(before[index], after)) {
        const what = `${kind} of ${from} at ${peer.name}`;
        assert.equal(lost, 0, `${what}: packets lost`);
        if (kind === 'video') {
          assert.equal(freezes, 0, `${what}: freezes`);
          assert.ok(frames > 30, `${what}: ${frames} frames`);
        } else assert.ok(energy > 0, `${what}: silent`);
      }
      // Not only at the end: between any two looks more than a second apart, every picture has moved.
      const seen = samples[index];
      for (const { at, rows } of seen)
        assert.deepEqual(streamsIn(rows), expected, `streams at ${peer.name}, ${at - killedAt} ms after the kill`);
      for (let late = 2; late < seen.length; late += 1) {
        for (const { from, kind, frames } of progress(seen[late - 2].rows, seen[late].rows)) {
          if (kind === 'video')
            assert.ok(frames > 0, `${from} stood still at ${peer.name}, ${seen[late].at - killedAt} ms after the kill`);
        }
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

    await step('sizes that nobody takes are off again', async () => {
      // Everybody shows everybody large: of the two sizes of 360 lines the small one has no takers.
      for (const peer of peers) {
        const small = async () => (await peer.sent()).find(({ rid }) => rid === 'r0');
        await until(`the small picture of ${peer.name} is off`, async () => !(await small()).active);
      }
    });

    await step('and a fourth can join, who sees and is seen by all', async () => {
      const mary = await enter('Mary');
      await mary.connected();
      await mary.receives(names);
      for (const peer of peers.filter(({ name }) => name !== 'Mary')) await peer.receives(['Mary']);
      await mary.screenshot('after-signaling-restart.png');
    });
  });
});

test('kill -9 of the engine: back in the call within five seconds', { timeout: 180_000 }, async (t) => {
  await inRoom(t, { names }, async ({ leat, peers }) => {
    for (const peer of peers) await peer.mark();
    await sleep(2_000);

    const dead = leat.crash('leat-engine');
    const killedAt = Date.now();

    await Promise.all(
      peers.map(async (peer) => {
        const lost = await until(
          `${peer.name} is told`,
          async () => (await peer.history()).find(({ what }) => what.startsWith('media lost')),
          {
            timeoutMs: 3_000,
            everyMs: 50,
          },
        );
        assert.ok(lost.at - killedAt < 1_000, `${peer.name} was told after ${lost.at - killedAt} ms`);
      }),
    );
    await Promise.all(peers.map((peer) => peer.receives(names.filter((name) => name !== peer.name))));
    const backAfterMs = Date.now() - killedAt;
    t.diagnostic(`everybody sees and hears everybody ${backAfterMs} ms after the kill`);
    assert.ok(backAfterMs < 5_000, `back after ${backAfterMs} ms`);
    assert.notEqual(leat.pidOf('leat-engine'), dead);

    // Frames that go on, not one keyframe that made it.
    const before = await Promise.all(peers.map((peer) => peer.received()));
    await sleep(3_000);
    for (const [index, peer] of peers.entries()) {
      const after = await peer.received();
      assert.deepEqual(streamsIn(after), streamsOf(names.filter((name) => name !== peer.name)), `streams at ${peer.name}`);
      for (const { from, kind, frames, energy } of progress(before[index], after)) {
        if (kind === 'video') assert.ok(frames > 20, `${from} at ${peer.name}: ${frames} frames in 3 s`);
        else assert.ok(energy > 0, `${from} is silent at ${peer.name}`);
      }
      assert.equal(await peer.session(), 'Connected');
      assert.ok(await peer.isMarked(), `${peer.name} reloaded`);
      assert.deepEqual(await peer.tiles(), names.filter((name) => name !== peer.name).sort());
    }
  });
});
