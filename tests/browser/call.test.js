// A call of three; every packet goes through the engine.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { changingCamera } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { PATIENCE_MS, stopsChanging, TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace', 'Katherine'];
/**
 * A camera that uses the whole available bitrate: an estimate grows to at most one and a half times the
 * bitrate sent.
 */
const CHANGING = { width: 640, height: 360, frameRate: 15, spots: 16 };

test('a call of three', TEST_LIMIT, async (t) => {
  await inRoom(t, { names, before: [[changingCamera, CHANGING]] }, async ({ leat, peers, step }) => {
    const [ada, grace, katherine] = peers;

    await step('every peer sees and hears both others', async () => {
      await seeAndHear(peers, { frames: 100 });
    });

    await step('DTLS is 1.3 and SRTP is AES-GCM on every transport', async () => {
      for (const peer of peers) {
        const transports = await peer.transports();
        assert.equal(transports.length, 2, `${peer.name} has ${JSON.stringify(transports)}`);
        for (const { direction, dtlsState, srtpCipher, tlsVersion, dtlsCipher } of transports) {
          assert.equal(dtlsState, 'connected', `${direction} of ${peer.name}`);
          assert.match(srtpCipher, /^(SRTP_)?AEAD_AES_128_GCM$/, `${direction} of ${peer.name}`);
          // RFC 9147 §5.3: the version's two bytes.
          assert.equal(tlsVersion, 'FEFC', `${direction} of ${peer.name}`);
          assert.match(dtlsCipher, /^TLS_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA/, `${direction} of ${peer.name}`);
        }
      }
    });

    await step('transport-wide feedback lets every sender ramp up', async () => {
      // Without feedback an estimate stays at its initial 300 kbit/s. On an idle machine it is at 1.7 Mbit/s
      // after two seconds; on a busy one the browsers delay each other, which counts as congestion, and it
      // takes longer.
      for (const peer of peers) {
        const ramped = async () => (await peer.uplinkEstimate()) > 600_000;
        await until(`${peer.name} may send 600 kbit/s`, ramped, { timeoutMs: 3 * PATIENCE_MS });
      }
    });

    await step('the app looks like a call', async () => {
      for (const peer of peers) assert.deepEqual(await peer.tiles(), names.filter((name) => name !== peer.name).sort());
      await ada.press('Who is here');
      await ada.page.getByRole('complementary', { name: 'Participants' }).waitFor();
      await ada.screenshot('call.png');
      await ada.press('Who is here');
    });

    await step('a peer whose microphone picks up sound is marked as speaking, and a muted one is not', async () => {
      const isSpeaking = async () => (await grace.tileOf('Ada').getAttribute('class')).includes('speaking');
      await until('Grace sees that Ada speaks', isSpeaking);
      await ada.press('Mute microphone');
      await until('Grace sees that Ada is silent', async () => !(await isSpeaking()));
      await ada.press('Unmute microphone');
      await until('Grace sees again that Ada speaks', isSpeaking);
    });

    await step('a muted microphone is silent, is shown as muted, and can be unmuted', async () => {
      await ada.press('Mute microphone');
      const tile = grace.tileOf('Ada');
      await until('Grace sees that Ada is muted', async () => (await tile.getAttribute('data-muted')) === 'true');
      await stopsChanging('the sound of a muted microphone', async () => (await grace.stream('Ada', 'audio')).packets);
      const quiet = await grace.stream('Ada', 'audio');

      await ada.press('Unmute microphone');
      await until('Grace hears Ada again', async () => (await grace.stream('Ada', 'audio')).energy > quiet.energy);
      await until('Grace sees that Ada is not muted', async () => (await tile.getAttribute('data-muted')) === 'false');
    });

    await step('initials replace the picture of a camera that is turned off, until it is on again', async () => {
      await ada.press('Turn camera off');
      const tile = grace.tileOf('Ada');
      await until('Ada has no picture at Grace', async () => (await tile.getAttribute('data-video')) === 'false');
      await stopsChanging('the picture of a camera that is off', async () => (await grace.stream('Ada', 'video')).packets);
      const dark = await grace.stream('Ada', 'video');

      await ada.press('Turn camera on');
      await until('Grace sees Ada move again', async () => (await grace.stream('Ada', 'video')).frames > dark.frames + 5);
      assert.equal(await tile.getAttribute('data-video'), 'true');
    });

    await step('a peer that leaves or closes its tab is removed', async () => {
      await katherine.press('Leave the call');
      await katherine.page.getByRole('heading', { name: 'Join a room' }).waitFor();
      await until('Ada sees Grace only', async () => (await ada.tiles()).join() === 'Grace');
      await grace.page.close({ runBeforeUnload: false });
      peers.splice(peers.indexOf(grace), 1);
      await until('Ada is alone', async () => (await ada.tiles()).length === 0);
      // The page reported that it was closing; the server did not wait for the socket to reconnect.
      assert.doesNotMatch(leat.log, /a peer did not return in time/);
    });
  });
});
