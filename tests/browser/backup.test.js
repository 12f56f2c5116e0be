// If a subscriber cannot play a publisher's codec, the publisher sends a second one as well, and each
// subscriber gets a codec that it can play.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const media = `
video:
  codecs:
    - { name: VP9, priority: 100 }
    - { name: VP8, priority: 50 }
`;

/** Runs in the page, before the app: a browser without VP9. */
function withoutVp9() {
  const { createOffer } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createOffer = async function (...args) {
    const { type, sdp } = await createOffer.apply(this, args);
    const types = [...sdp.matchAll(/^a=rtpmap:(\d+) VP9\//gm)].map(([, pt]) => pt);
    const repairs = [...sdp.matchAll(/^a=fmtp:(\d+) apt=(\d+)/gm)].filter(([, , apt]) => types.includes(apt)).map(([, pt]) => pt);
    const gone = new Set([...types, ...repairs]);
    const lines = sdp.split('\r\n').filter((line) => !gone.has(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+)/.exec(line)?.[1]));
    const without = (line) => line.split(' ').filter((word, index) => index < 3 || !gone.has(word));
    return { type, sdp: lines.map((line) => (line.startsWith('m=video') ? without(line).join(' ') : line)).join('\r\n') };
  };
}

test('a subscriber that cannot play the first codec gets a second one', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada'], media }, async ({ peers: [ada], enter, step }) => {
    const katherine = await enter('Katherine', { camera: [withoutDevices] });
    const grace = await enter('Grace', { camera: [withoutDevices], before: [[withoutVp9]] });
    const codecs = async () =>
      (await ada.sent()).filter(({ kind, frames }) => kind === 'video' && frames > 0).map(({ codec }) => codec);

    await step('each gets a codec that it supports', async () => {
      for (const [peer, codec] of [
        [katherine, 'video/VP9'],
        [grace, 'video/VP8'],
      ]) {
        await peer.receives(['Ada']);
        assert.equal((await peer.stream('Ada', 'video')).codec, codec, peer.name);
        const others = ['Ada', peer === grace ? 'Katherine' : 'Grace'].sort().join();
        await until(`${peer.name} has tiles of ${others}`, async () => (await peer.tiles()).join() === others);
      }
      assert.ok((await codecs()).includes('video/VP9'));
    });

    await step('a camera that is off is off in both, and is on again in both', async () => {
      await ada.press('Turn camera off');
      const tile = (peer) => peer.tileOf('Ada').getAttribute('data-video');
      for (const peer of [katherine, grace])
        await until(`no picture at ${peer.name}`, async () => (await tile(peer)) === 'false');
      const before = await Promise.all([katherine, grace].map((peer) => peer.stream('Ada', 'video')));
      await ada.press('Turn camera on');
      for (const [index, peer] of [katherine, grace].entries()) {
        const moves = async () => (await peer.stream('Ada', 'video')).frames > before[index].frames + 5;
        await until(`${peer.name} sees Ada move again`, moves);
      }
    });

    await step('a second codec without subscribers is not encoded', async () => {
      await grace.press('Leave the call');
      const frames = async () => {
        const rows = (await ada.sent()).filter(({ codec }) => codec === 'video/VP8');
        return rows.every(({ active }) => !active);
      };
      await until('VP8 is off', frames);
    });
  });
});
