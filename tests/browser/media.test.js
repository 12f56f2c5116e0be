// media.yml, as browsers follow it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inRoom } from './lib/room.js';
import { sleep } from './lib/wait.js';

const media = `
video:
  codecs:
    - { name: VP8, priority: 2 }
    - { name: H264, priority: 1 }
  scalabilityMode: L1T1
audio:
  opus: { stereo: true, dtx: true }
`;

test('browsers take the first codec they have, and Opus as it is wished', { timeout: 90_000 }, async (t) => {
  await inRoom(t, { names: ['Ada', 'Grace'], media }, async ({ peers }) => {
    for (const peer of peers) {
      const sent = await peer.sent();
      const video = sent.filter(({ kind }) => kind === 'video');
      assert.deepEqual(
        video.map(({ codec }) => codec),
        ['video/H264'],
        `what ${peer.name} sends`,
      );
      const { fmtp } = sent.find(({ kind }) => kind === 'audio');
      for (const wish of ['stereo=1', 'usedtx=1', 'useinbandfec=1'])
        assert.ok(fmtp.split(';').includes(wish), `${wish} in ${fmtp}`);
      for (const row of await peer.received()) {
        if (row.kind === 'video') assert.equal(row.codec, 'video/H264');
        else assert.ok(row.fmtp.includes('stereo=1'), `what ${peer.name} decodes: ${row.fmtp}`);
      }
    }
  });
});

test('frames are held back for as long as media.yml says', { timeout: 90_000 }, async (t) => {
  const media = 'video:\n  playoutDelay:\n    min: 400\n    max: 600\n';
  await inRoom(t, { names: ['Ada', 'Grace'], media }, async ({ peers: [, grace] }) => {
    const row = () => grace.stream('Ada', 'video');
    const before = await row();
    await sleep(5_000);
    const after = await row();
    const ms = ((after.targetDelayS - before.targetDelayS) / (after.emitted - before.emitted)) * 1_000;
    t.diagnostic(`the browser means to hold each frame back for ${ms.toFixed(0)} ms`);
    // It reckons with how long it takes to decode and to show a frame, too.
    assert.ok(ms >= 350 && ms <= 650, `${ms} ms`);
  });
});
