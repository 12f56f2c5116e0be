// A large file from one participant to another, while both are in a call.

import assert from 'node:assert/strict';
import { choose, Files, hasRestarted, hasState, iceNames, openPanel, restartIceDuring } from './files.js';
import { HeapWatch } from './heap.js';
import { progress } from './peers.js';
import { inRoom } from './room.js';

/** Bytes in the heap of a page, whatever the size of the file. */
const HEAP_MAX = 150_000_000;
const NAME = 'harvest.bin';
const MB = 1_000_000;

/**
 * Ada sends a file of `size` bytes to Bob. In the middle, ICE of both restarts. `timeoutMs` is the limit of the whole
 * transfer. Returns for each of the two what its audio has lost and concealed meanwhile.
 */
export async function sendLargeFile(t, { size, timeoutMs }) {
  const files = new Files();
  const heard = {};
  try {
    await inRoom(t, { names: ['Ada', 'Bob'] }, async ({ peers }) => {
      const [ada, bob] = peers;
      for (const peer of peers) await openPanel(peer);
      const { path, hash } = files.made(NAME, size);
      const ice = await Promise.all(peers.map(iceNames));
      await choose(ada, path);
      await hasState(bob, NAME, 'offered');
      const before = await Promise.all(peers.map((peer) => peer.received()));
      const start = Date.now();
      const watches = await Promise.all(peers.map((peer) => HeapWatch.start(peer)));
      for (const peer of peers) await restartIceDuring(peer, NAME, size / 2);
      await bob.press(`Accept ${NAME}`);
      for (const peer of peers) await hasRestarted(peer, size, timeoutMs);
      for (const peer of peers) await hasState(peer, NAME, 'done', timeoutMs);
      const seconds = (Date.now() - start) / 1_000;
      t.diagnostic(`${size / MB} MB in ${seconds.toFixed(1)} s: ${(size / MB / seconds).toFixed(1)} MB/s`);
      for (const [at, { name }] of peers.entries()) {
        const bytes = await watches[at].stop();
        t.diagnostic(`heap of ${name}: at most ${(bytes / MB).toFixed(1)} MB`);
        assert.ok(bytes < HEAP_MAX, `the heap of ${name} had ${bytes} bytes`);
      }
      for (const [at, peer] of peers.entries()) {
        const audio = progress(before[at], await peer.received()).find(({ kind }) => kind === 'audio');
        heard[peer.name] = audio;
        const concealed = ((100 * audio.concealed) / audio.samples).toFixed(2);
        t.diagnostic(
          `audio at ${peer.name}: ${audio.packets} packets, ${audio.lost} lost, ${concealed} % of the samples concealed`,
        );
      }
      assert.deepEqual(await files.saved(bob, NAME), { name: NAME, hash });
      for (const [at, peer] of peers.entries()) {
        const now = await iceNames(peer);
        assert.equal(now.length, 2);
        for (const [each, name] of now.entries()) assert.notEqual(name, ice[at][each], `ICE of ${peer.name} has not restarted`);
      }
    });
  } finally {
    files.remove();
  }
  return heard;
}
