// Calls that are encrypted end to end: the engine cannot read the frames, and selects their layers by the dependency
// descriptor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encrypted, encryptionWith, framesOf, framesWithoutKey, haveKeys } from './lib/encryption.js';
import { movesThroughAllLayers, withLayers } from './lib/layers.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

for (const [codec, mode] of [
  ['VP8', 'L3T3'],
  ['VP9', 'L3T3_KEY'],
  ['AV1', 'L3T3'],
]) {
  test(`${codec} encrypted end to end: a subscriber moves through all layers on command`, TEST_LIMIT, async (t) => {
    await withLayers(t, { codec, mode, options: encrypted }, async (room) => {
      await haveKeys(room.ada, room.grace);
      await movesThroughAllLayers(t, room, `video/${codec}`);
      const { frames } = await room.grace.stream('Ada', 'video');
      // The page learns the counts from its worker once in a while.
      await until('every picture was decrypted', async () => (await framesOf(room.grace, 'Ada')).opened >= frames);
    });
  });
}

/**
 * Two participants with encryption, and their pictures. `media` is the text of a `media.yml`; `ofAda` and `ofGrace` are
 * options of their pages.
 */
const encryptedRoom = (t, media, body, { ofAda = encrypted, ofGrace = encrypted } = {}) =>
  inRoom(t, { names: [], media }, async (room) => {
    const ada = await room.enter('Ada', ofAda);
    const grace = await room.enter('Grace', ofGrace);
    await haveKeys(ada, grace);
    await grace.receives(['Ada']);
    await ada.receives(['Grace']);
    await body({ ...room, ada, grace });
  });

for (const codec of ['VP8', 'H264', 'VP9', 'AV1']) {
  test(`${codec} and Opus encrypted end to end: only participants with the keys see and hear`, TEST_LIMIT, async (t) => {
    const media = `video:\n  codecs:\n    - name: ${codec}\n      priority: 100\n`;
    await encryptedRoom(t, media, async ({ ada, grace, enter }) => {
      assert.equal((await grace.stream('Ada', 'video')).codec, `video/${codec}`);
      const [number, other] = [await encryptionWith(ada, 'Grace'), await encryptionWith(grace, 'Ada')];
      assert.match(number.safetyNumber, /^\d{5}( \d{5}){11}$/);
      assert.equal(number.safetyNumber, other.safetyNumber);

      // A client in the room that takes no part in the exchange of keys, like a server that reads along.
      const eve = await enter('Eve');
      // A decoder of H264 takes the ciphertext for the data of a slice, and shows noise.
      const decoded = await framesWithoutKey(eve, 'Ada');
      if (codec !== 'H264') assert.equal(decoded, 0, 'pictures without the key');
      assert.equal(await encryptionWith(eve, 'Ada'), null);
      await until('Ada has no key of Eve', async () => (await encryptionWith(ada, 'Eve'))?.state === 'waitingForKey');
      // Nothing that Eve sends is shown.
      await until('frames of Eve are refused', async () => {
        const { malformed, unknownKey, wrongKey } = await framesOf(ada, 'Eve');
        return malformed + unknownKey + wrongKey > 30;
      });
      assert.equal((await framesOf(ada, 'Eve')).opened, 0);

      // A participant that joins later gets new keys, and the others go on.
      const linus = await enter('Linus', encrypted);
      await haveKeys(ada, grace, linus);
      await linus.receives(['Ada', 'Grace']);
      await linus.close();
      const before = (await framesOf(grace, 'Ada')).opened;
      await until('pictures after the end of a participant', async () => (await framesOf(grace, 'Ada')).opened > before + 100);
      const { opened, wrongKey } = await framesOf(grace, 'Ada');
      assert.equal(wrongKey, 0, `${opened} frames were decrypted`);
    });
  });
}

/** Runs in the page, before the app: an older Chromium. Counts the calls of what it has instead. */
function withoutScriptTransform() {
  delete window.RTCRtpScriptTransform;
  delete RTCRtpSender.prototype.transform;
  delete RTCRtpReceiver.prototype.transform;
  window.encodedStreams = { sender: 0, receiver: 0 };
  for (const [end, { prototype }] of Object.entries({ sender: RTCRtpSender, receiver: RTCRtpReceiver })) {
    const { createEncodedStreams } = prototype;
    prototype.createEncodedStreams = function () {
      window.encodedStreams[end] += 1;
      return createEncodedStreams.call(this);
    };
  }
}

const older = { ...encrypted, before: [[withoutScriptTransform]] };
const encodedStreamsOf = ({ page }) => page.evaluate(() => window.encodedStreams);

for (const codec of ['VP8', 'H264', 'VP9', 'AV1']) {
  test(`${codec} and Opus encrypted by createEncodedStreams, in a call with a newer browser`, TEST_LIMIT, async (t) => {
    const media = `video:\n  codecs:\n    - name: ${codec}\n      priority: 100\n`;
    const both = async ({ ada, grace, enter }) => {
      // Microphone and camera, in both directions; more if a busy machine made the transports once more.
      const { sender, receiver } = await encodedStreamsOf(ada);
      assert.ok(sender >= 2 && receiver >= 2, `${sender} senders, ${receiver} receivers`);
      assert.equal(await encodedStreamsOf(grace), undefined);
      for (const [one, other] of [
        [ada, grace],
        [grace, ada],
      ]) {
        assert.equal((await one.stream(other.name, 'video')).codec, `video/${codec}`);
        // The page learns the counts from its worker once in a while.
        await until(`${one.name} decrypts`, async () => (await framesOf(one, other.name)).opened > 0);
        assert.equal((await framesOf(one, other.name)).wrongKey, 0);
      }
      // A client without the keys decodes no picture of the older browser.
      const eve = await enter('Eve');
      const decoded = await framesWithoutKey(eve, 'Ada');
      if (codec !== 'H264') assert.equal(decoded, 0, 'pictures without the key');
    };
    await encryptedRoom(t, media, both, { ofAda: older });
  });
}
