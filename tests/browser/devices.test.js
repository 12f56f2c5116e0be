// Microphone, camera and speaker: one that cannot be opened, the choice between several, hot-plug, audio only, a page that
// may not play sound, and a page that is not visible.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutDevices } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

/**
 * Four fake cameras: the second one is a depth camera, whose pictures a page does not get. Chromium always has two fake
 * microphones and two fake speakers.
 */
const CAMERAS = ['--use-fake-device-for-media-stream=fps=15,device-count=4'];

/** Runs in the page, before the app: a browser that refuses these devices with this error. */
function refuse({ kinds, error }) {
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (wanted) =>
    kinds.some((kind) => wanted[kind]) ? Promise.reject(new DOMException('refused', error)) : real(wanted);
}

/** Runs in the page, before the app: the permission prompt gets no answer. */
function ask() {
  navigator.mediaDevices.getUserMedia = () => new Promise(() => undefined);
}

const refusals = [
  {
    kinds: ['video'],
    error: 'NotAllowedError',
    text: 'Your camera is blocked for this page. Select the icon to the left of the address',
  },
  { kinds: ['audio'], error: 'NotFoundError', text: 'No microphone was found.' },
  { kinds: ['video'], error: 'NotReadableError', text: 'Your camera could not be read: another program may be using it.' },
  { kinds: ['audio', 'video'], error: 'NotAllowedError', text: 'Your camera and microphone are blocked for this page.' },
];

test('a page opened with join=1 names the device that failed and how to allow it', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: [] }, async ({ enter, step }) => {
    for (const { kinds, error, text } of refusals) {
      await step(`${error} of ${kinds.join(' and ')}`, async () => {
        const ada = await enter('Ada', { before: [[refuse, { kinds, error }]] });
        await ada.connected();
        await ada.page.getByText(text).waitFor();
        await ada.press('Leave the call');
        await ada.page.getByRole('heading', { name: 'Join a room' }).waitFor();
        await ada.page.locator('.problem').getByText(text).waitFor();
      });
    }
  });
});

test('a permission prompt without an answer does not delay the call', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Grace'] }, async ({ peers: [grace], enter }) => {
    const ada = await enter('Ada', { camera: [ask] });
    await ada.connected();
    await ada.receives(['Grace']);
    await until('Grace sees that Ada is here', async () => (await grace.tiles()).join() === 'Ada');
    await ada.page.getByText('Your browser asks whether this page may use camera and microphone.').waitFor();
  });
});

/** Runs in the page, before the app: counts the negotiations of all peer connections. */
function countNegotiations() {
  window.negotiations = 0;
  const { setLocalDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setLocalDescription = function (...args) {
    window.negotiations += 1;
    return setLocalDescription.apply(this, args);
  };
}

/**
 * Runs in the page, before the app: `unplug` and `plugIn` of devices by label. Chromium cannot remove a fake device, so
 * its list lacks the device, and the event of a change is dispatched.
 */
function hotPlug() {
  const gone = new Set();
  const real = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
  navigator.mediaDevices.enumerateDevices = async () => (await real()).filter(({ label }) => !gone.has(label));
  const change = () => navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
  window.unplug = (label) => change(gone.add(label));
  window.plugIn = (label) => change(gone.delete(label));
}

/** The label of the device in use; null if there is none. */
function inUse(peer, kind) {
  return peer.page.evaluate((kind) => window.__leat.store.getState().devices[kind]?.label ?? null, kind);
}

async function uses(peer, kind, label) {
  await until(`${peer.name} uses ${label}`, async () => (await inUse(peer, kind)) === label);
}

/** The source of a peer continues to arrive: more of it than now. */
async function continues(peer, from, kind) {
  const count = async () => (await peer.stream(from, kind))?.[kind === 'video' ? 'frames' : 'packets'] ?? 0;
  const before = await count();
  await until(`${kind} of ${from} arrives at ${peer.name}`, async () => (await count()) > before + 20);
}

/** The SSRCs that a peer sends. */
function ssrcs(peer) {
  return peer.page.evaluate(async () => {
    const rows = [...(await window.__leat.call.getStats('send')).values()];
    return rows
      .filter(({ type }) => type === 'outbound-rtp')
      .map(({ ssrc }) => ssrc)
      .sort();
  });
}

test('microphone, camera and speaker are chosen before and during a call, and remembered', TEST_LIMIT, async (t) => {
  const options = { names: ['Ada', 'Grace'], browserArgs: CAMERAS, before: [[countNegotiations]] };
  await inRoom(t, options, async ({ peers: [ada, grace], step }) => {
    const choice = (role) => ada.page.locator(`select[name="${role}"]`);
    const negotiations = () => ada.page.evaluate(() => window.negotiations);

    await step('another camera and microphone replace the track of the producer, without a negotiation', async () => {
      await ada.press('Devices');
      const [before, sent] = [await negotiations(), await ssrcs(ada)];
      assert.ok(sent.length >= 2, `Ada sends ${sent}`);
      for (const [role, kind, label] of [
        ['camera', 'video', 'fake_device_3'],
        ['camera', 'video', 'fake_device_0'],
        ['camera', 'video', 'fake_device_3'],
        ['microphone', 'audio', 'Fake Audio Input 2'],
      ]) {
        await choice(role).selectOption({ label });
        await uses(ada, kind, label);
        await continues(grace, 'Ada', kind);
      }
      assert.equal(await negotiations(), before, 'no description was set');
      assert.deepEqual(await ssrcs(ada), sent, 'the streams are the same');
      await ada.screenshot('devices.png');
    });

    await step('a muted microphone stays muted on another device', async () => {
      await ada.press('Mute microphone');
      await choice('microphone').selectOption({ label: 'Fake Audio Input 1' });
      await uses(ada, 'audio', 'Fake Audio Input 1');
      const enabled = () => ada.page.evaluate(() => window.__leat.store.getState().devices.audio.enabled);
      await until('the track is off', async () => !(await enabled()));
      await ada.press('Unmute microphone');
      await continues(grace, 'Ada', 'audio');
    });

    await step('sound plays on the chosen speaker', async () => {
      await choice('speaker').selectOption({ label: 'Fake Audio Output 2' });
      const sinks = () => ada.page.evaluate(() => [...document.querySelectorAll('audio')].map(({ sinkId }) => sinkId).join());
      const chosen = await choice('speaker').inputValue();
      assert.notEqual(chosen, '');
      await until('the sound of Grace plays there', async () => (await sinks()) === chosen);
      await choice('speaker').selectOption({ label: 'Automatic' });
      await until('the sound plays where the system selects', async () => (await sinks()) === '');
    });

    await step('the page before the call offers the same choice', async () => {
      await ada.press('Leave the call');
      await uses(ada, 'video', 'fake_device_3');
      assert.equal(await choice('microphone').locator('option:checked').textContent(), 'Fake Audio Input 1');
      await choice('microphone').selectOption({ label: 'Fake Audio Input 2' });
      await uses(ada, 'audio', 'Fake Audio Input 2');
    });

    await step('another visit uses the devices of the last one', async () => {
      await ada.page.reload();
      await ada.connected();
      await uses(ada, 'video', 'fake_device_3');
      await uses(ada, 'audio', 'Fake Audio Input 2');
      await grace.receives(['Ada']);
    });
  });
});

test('a device that is removed is replaced, and a new one is offered', TEST_LIMIT, async (t) => {
  const options = { names: ['Ada', 'Grace'], browserArgs: CAMERAS, before: [[hotPlug], [countNegotiations]] };
  await inRoom(t, options, async ({ peers: [ada, grace], step }) => {
    await ada.press('Devices');
    await ada.page.locator('select[name=camera]').selectOption({ label: 'fake_device_3' });
    await uses(ada, 'video', 'fake_device_3');

    await step('the camera in use is unplugged: the other one replaces it', async () => {
      await ada.page.evaluate(() => window.unplug('fake_device_3'));
      await uses(ada, 'video', 'fake_device_0');
      await ada.page.getByText('fake_device_3 was removed. fake_device_0 is used now.').waitFor();
      await continues(grace, 'Ada', 'video');
    });

    await step('it is plugged in again: the user may switch to it', async () => {
      await ada.page.evaluate(() => window.plugIn('fake_device_3'));
      await ada.page.getByText('fake_device_3 is connected.').waitFor();
      assert.equal(await inUse(ada, 'video'), 'fake_device_0');
      await ada.press('Use it');
      await uses(ada, 'video', 'fake_device_3');
      await continues(grace, 'Ada', 'video');
    });

    await step('a microphone that stops by itself is replaced in the same producer', async () => {
      const before = await ssrcs(ada);
      await ada.page.evaluate(() => {
        const { audio } = window.__leat.store.getState().devices;
        window.stopped = audio.id;
        audio.dispatchEvent(new Event('ended'));
      });
      const isOther = () => ada.page.evaluate(() => window.__leat.store.getState().devices.audio?.id !== window.stopped);
      await until('Ada has another microphone track', isOther);
      await continues(grace, 'Ada', 'audio');
      assert.deepEqual(await ssrcs(ada), before);
    });
  });
});

test('a user joins without devices, and switches the microphone on later', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Grace'] }, async ({ peers: [grace], enter, step }) => {
    const ada = await enter('Ada');
    await ada.connected();
    await ada.press('Leave the call');

    await step('no device is open in the call', async () => {
      await ada.press('Join without camera and microphone');
      await ada.connected();
      await ada.receives(['Grace']);
      assert.deepEqual([await inUse(ada, 'audio'), await inUse(ada, 'video')], [null, null]);
      await until('Grace sees Ada', async () => (await grace.tiles()).join() === 'Ada');
      assert.equal(await grace.tileOf('Ada').getAttribute('data-video'), 'false');
    });

    await step('the switch opens the microphone', async () => {
      await ada.press('Unmute microphone');
      await continues(grace, 'Ada', 'audio');
      assert.equal(await inUse(ada, 'video'), null);
    });
  });
});

test('audio only stops the camera and receives no video', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada', 'Grace'] }, async ({ peers: [ada, grace], step }) => {
    const video = async (peer, from) => (await peer.received()).filter((row) => row.from === from && row.kind === 'video').length;

    await step('neither side has a picture, both have sound', async () => {
      await ada.press('Devices');
      await ada.page.getByRole('switch', { name: 'Audio only' }).click();
      await until('Ada receives no video', async () => (await video(ada, 'Grace')) === 0);
      await until('Grace receives no video', async () => (await video(grace, 'Ada')) === 0);
      assert.equal(await inUse(ada, 'video'), null);
      await continues(ada, 'Grace', 'audio');
      await continues(grace, 'Ada', 'audio');
      assert.equal(await ada.tileOf('Grace').getAttribute('data-video'), 'false');
      assert.equal(await ada.session(), 'Connected');
    });

    await step('a camera that is switched on ends it', async () => {
      await ada.press('Turn camera on');
      await ada.receives(['Grace']);
      await grace.receives(['Ada']);
    });
  });
});

/** Runs in the page, before the app: reports in the console that the browser has refused to play. */
function reportBlocked() {
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function () {
    const played = play.call(this);
    // biome-ignore lint/suspicious/noConsole: the test listens to the console.
    played.catch(({ name }) => setInterval(() => console.info(`play: ${name}`), 200));
    return played;
  };
}

test('a page that may not play sound asks for a click', TEST_LIMIT, async (t) => {
  const browserArgs = ['--autoplay-policy=document-user-activation-required'];
  await inRoom(t, { names: [], browserArgs }, async ({ enter }) => {
    const grace = await enter('Grace');
    await grace.connected();
    // A page with a running camera may play sound without a click.
    const { page } = await enter('Ada', { camera: [withoutDevices], before: [[reportBlocked]] });
    // Playwright runs scripts as if the user had clicked, so that sound would be permitted: none runs before this event.
    await page.waitForEvent('console', (message) => message.text() === 'play: NotAllowedError');
    const unblock = page.getByRole('button', { name: 'Turn on sound' });
    await unblock.click();
    const playing = () => page.evaluate(() => [...document.querySelectorAll('audio')].filter(({ paused }) => !paused).length);
    await until('the sound of Grace plays', async () => (await playing()) === 1);
    await unblock.waitFor({ state: 'detached' });
  });
});

/** Playwright keeps every page visible, so the page gets another state and the event of the change. */
function setVisible(peer, visible) {
  return peer.page.evaluate(
    (state) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    },
    visible ? 'visible' : 'hidden',
  );
}

test(
  'a page in the background keeps the call and the sound, and requests no video until it is visible',
  TEST_LIMIT,
  async (t) => {
    await inRoom(t, { names: ['Ada', 'Grace'] }, async ({ peers: [ada, grace], step }) => {
      const frames = async () => (await ada.stream('Grace', 'video'))?.packets ?? 0;

      await step('no video is sent to a hidden page; sound is, and the others see its camera', async () => {
        await setVisible(ada, false);
        let last = -1;
        // The sound that arrives meanwhile is the clock: 100 packets are two seconds.
        await until('no video arrives', async () => {
          last = await frames();
          const sound = (await ada.stream('Grace', 'audio')).packets;
          await until('sound arrives', async () => (await ada.stream('Grace', 'audio')).packets > sound + 100);
          return (await frames()) === last;
        });
        assert.ok(last > 0);
        await continues(grace, 'Ada', 'video');
        assert.equal(await ada.session(), 'Connected');
      });

      await step('video returns when the page is visible again', async () => {
        await setVisible(ada, true);
        await continues(ada, 'Grace', 'video');
        assert.equal(await ada.page.getByText('paused: slow connection').count(), 0);
      });
    });
  },
);
