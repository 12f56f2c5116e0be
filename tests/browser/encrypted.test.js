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
      assert.ok((await framesOf(room.grace, 'Ada')).opened >= frames, 'every picture was decrypted');
    });
  });
}

/** Two participants with encryption, and their pictures. `media` is the text of a `media.yml`. */
const encryptedRoom = (t, media, body) =>
  inRoom(t, { names: [], media }, async (room) => {
    const ada = await room.enter('Ada', encrypted);
    const grace = await room.enter('Grace', encrypted);
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
