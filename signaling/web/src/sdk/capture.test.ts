import { afterEach, describe, expect, test, vi } from 'vitest';
import { captureDevices } from './capture';
import { fakeTrack } from './testing';

type Answer = 'ok' | string;

/** A browser whose devices answer like this. A request for both fails if one of them fails. */
function devices(audio: Answer, video: Answer) {
  const fail = (name: string) => Promise.reject(new DOMException('refused', name));
  vi.stubGlobal('navigator', {
    mediaDevices: {
      getUserMedia: (wanted: MediaStreamConstraints) => {
        const answers = [...(wanted.audio ? [audio] : []), ...(wanted.video ? [video] : [])];
        const refusal = answers.find((answer) => answer !== 'ok');
        if (refusal) return fail(refusal);
        const tracks = [...(wanted.audio ? [fakeTrack('audio')] : []), ...(wanted.video ? [fakeTrack('video')] : [])];
        const of = (kind: string) => tracks.filter((track) => track.kind === kind);
        return Promise.resolve({ getTracks: () => tracks, getAudioTracks: () => of('audio'), getVideoTracks: () => of('video') });
      },
    },
  });
}

afterEach(() => vi.unstubAllGlobals());

describe('devices that fail are named, with what to do', () => {
  for (const [audio, video, words] of [
    ['ok', 'NotAllowedError', ['Your camera is blocked', 'icon in the address bar', 'press the camera button']],
    ['NotAllowedError', 'ok', ['Your microphone is blocked', 'press the microphone button']],
    ['NotAllowedError', 'NotAllowedError', ['Your camera and microphone are blocked']],
    ['ok', 'NotFoundError', ['No camera was found']],
    ['NotReadableError', 'ok', ['Your microphone could not be read', 'another program']],
    ['NotFoundError', 'NotReadableError', ['No microphone was found', 'Your camera could not be read']],
    ['ok', 'OverconstrainedError', ['Your camera could not be started (OverconstrainedError)']],
  ] as const) {
    test(`${audio} of the microphone, ${video} of the camera`, async () => {
      devices(audio, video);
      const captured = await captureDevices();
      for (const word of words) expect(captured.problem).toContain(word);
      if (audio === 'ok') expect(captured.problem).not.toContain('microphone');
      if (video === 'ok') expect(captured.problem).not.toContain('camera');
      expect([captured.audio !== null, captured.video !== null]).toEqual([audio === 'ok', video === 'ok']);
    });
  }

  test('no problem is reported when both are present', async () => {
    devices('ok', 'ok');
    expect((await captureDevices()).problem).toBe(null);
  });
});
