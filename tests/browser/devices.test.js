// A camera or a microphone that cannot be opened: the app names it, and what the user can do.

import { test } from 'node:test';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

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
    text: 'Your camera is blocked for this page. Allow it with the icon in the address bar',
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
