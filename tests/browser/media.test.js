// Browsers apply media.yml.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { showsLines } from './lib/layers.js';
import { ROOT } from './lib/leat.js';
import { CAPTURE_720, constrainCamera, withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const media = `
video:
  codecs:
    - { name: VP8, priority: 50 }
    - { name: H264, priority: 100 }
  scalabilityMode: L1T1
audio:
  opus: { stereo: true, dtx: true }
`;

test('browsers use the first codec that they support, and Opus with the given options', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada', 'Grace'], media }, async ({ peers }) => {
    for (const peer of peers) {
      const sent = await peer.sent();
      const video = sent.filter(({ kind }) => kind === 'video');
      assert.deepEqual(
        video.map(({ codec }) => codec),
        ['video/H264'],
        `codecs that ${peer.name} sends`,
      );
      const { fmtp } = sent.find(({ kind }) => kind === 'audio');
      for (const wish of ['stereo=1', 'usedtx=1', 'useinbandfec=1'])
        assert.ok(fmtp.split(';').includes(wish), `${wish} in ${fmtp}`);
      for (const row of await peer.received()) {
        if (row.kind === 'video') assert.equal(row.codec, 'video/H264');
        else assert.ok(row.fmtp.includes('stereo=1'), `audio that ${peer.name} decodes: ${row.fmtp}`);
      }
    }
  });
});

test('the media.yml of the requirements: VP8 in three layers, and stereo Opus without DTX', TEST_LIMIT, async (t) => {
  const media = readFileSync(join(ROOT, 'tests/vectors/media/requirements.yml'), 'utf8');
  await inRoom(t, { names: [], media, frameRate: CAPTURE_720.frameRate }, async ({ enter }) => {
    const ada = await enter('Ada', { camera: [constrainCamera, CAPTURE_720] });
    await ada.connected();
    const grace = await enter('Grace', { camera: [withoutDevices] });
    await grace.connected();
    await grace.receives(['Ada']);
    // Sizes without viewers are not encoded: watch each of them.
    for (const [spatialLayer, lines] of [180, 360, 720].entries()) {
      await grace.pin('Ada', { spatialLayer, temporalLayer: 2 });
      await showsLines(grace, 'Ada', lines);
    }
    const sent = await ada.sent();
    const video = sent.filter(({ kind }) => kind === 'video');
    assert.deepEqual(
      video.map(({ codec, rid, height, mode }) => `${codec} ${rid} ${height} ${mode}`),
      ['video/VP8 r0 180 L1T3', 'video/VP8 r1 360 L1T3', 'video/VP8 r2 720 L1T3'],
    );
    assert.ok(
      video.every(({ frames }) => frames > 0),
      JSON.stringify(video),
    );
    const opus = sent.find(({ kind }) => kind === 'audio');
    assert.equal(opus.codec, 'audio/opus');
    const wishes = opus.fmtp.split(';');
    assert.ok(wishes.includes('stereo=1') && !wishes.includes('usedtx=1'), opus.fmtp);
    const decoded = await grace.stream('Ada', 'audio');
    assert.ok(decoded.fmtp.includes('stereo=1'), `audio that Grace decodes: ${decoded.fmtp}`);
  });
});

test('frames are delayed for the time set in media.yml', TEST_LIMIT, async (t) => {
  const media = 'video:\n  playoutDelay:\n    min: 400\n    max: 600\n';
  await inRoom(t, { names: ['Ada', 'Grace'], media }, async ({ peers: [, grace] }) => {
    const row = () => grace.stream('Ada', 'video');
    const before = await row();
    await until('Grace has shown 75 frames', async () => (await row()).emitted >= before.emitted + 75);
    const after = await row();
    const ms = ((after.targetDelayS - before.targetDelayS) / (after.emitted - before.emitted)) * 1_000;
    t.diagnostic(`the browser's target delay for each frame is ${ms.toFixed(0)} ms`);
    // The browser includes the time to decode and to show a frame.
    assert.ok(ms >= 350 && ms <= 650, `${ms} ms`);
  });
});
