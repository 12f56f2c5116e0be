import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type Captured, DeviceError, type DeviceInfo, type VideoReception } from '../sdk';
import { fakeTrack } from '../sdk/testing';
import { type DeviceCall, type DeviceControl, type DeviceSlice, deviceControl, speakerOf } from './device_slice';

type One = { track: MediaStreamTrack } | { error: DeviceError };

/** The browser's answers: to a request for both devices, and to requests for one, in their order. */
const browser = vi.hoisted(() => ({
  both: null as null | Promise<Captured>,
  asked: [] as [kind: string, id: string | null][],
  answers: [] as Promise<One>[],
  gone: (_: readonly DeviceInfo[]): void => undefined,
}));

vi.mock('../sdk', async (real) => ({
  ...(await real<typeof import('../sdk')>()),
  captureDevices: () => browser.both,
  captureOne: (kind: 'audio' | 'video', id: string | null) => {
    browser.asked.push([kind, id]);
    return browser.answers.shift() ?? Promise.resolve({ track: fakeTrack(kind) });
  },
  DeviceWatch: class {
    constructor(onChange: (list: unknown, change: unknown) => void) {
      browser.gone = (removed) => onChange({ devices: [], hidden: new Set() }, { added: [], removed });
    }
    start() {}
    refresh() {}
  },
}));

class SentTracks implements DeviceCall {
  readonly sent = new Map<string, { track: MediaStreamTrack; paused: boolean }>();
  reception: VideoReception = 'on';

  setSource(source: string, track: MediaStreamTrack | null, paused = false): void {
    if (track) this.sent.set(source, { track, paused });
    else this.sent.delete(source);
  }

  setPaused(): void {}

  setVideoReception(reception: VideoReception): void {
    this.reception = reception;
  }
}

/** A track of a device with this name and id. */
function trackOf(kind: 'audio' | 'video', label: string): MediaStreamTrack {
  const getSettings = () => ({ deviceId: label });
  return Object.defineProperties(fakeTrack(kind), { label: { value: label }, getSettings: { value: getSettings } });
}

let state: DeviceSlice;
let call: SentTracks | null;
let control: DeviceControl;
const running = () => call as SentTracks;
const noErrors = { audio: null, video: null };

beforeEach(async () => {
  call = null;
  [browser.asked, browser.answers] = [[], []];
  browser.both = Promise.resolve({
    audio: trackOf('audio', 'Headset'),
    video: fakeTrack('video'),
    errors: noErrors,
    problem: null,
  });
  control = deviceControl({
    get: () => state,
    set: (change) => {
      state = { ...state, ...change };
    },
    call: () => call,
  });
  state = control.slice;
});

async function joined(): Promise<void> {
  await state.openDevices();
  call = new SentTracks();
  control.offer(call);
}

describe('another device', () => {
  test('replaces the track of the source, keeps its switch, and the former one stops', async () => {
    await joined();
    const before = state.devices.video;
    control.follow((source) => source === 'camera');
    await state.chooseDevice('camera', 'webcam');
    expect(browser.asked).toEqual([['video', 'webcam']]);
    expect(running().sent.get('camera')).toEqual({ track: state.devices.video, paused: true });
    expect([before?.readyState, state.devices.video?.readyState]).toEqual(['ended', 'live']);
    expect(state.devices.choices.camera).toBe('webcam');
  });

  test('that is chosen last is the one in use, in whatever order the browser answers', async () => {
    await joined();
    const first = fakeTrack('audio');
    let answer: (one: One) => void = () => undefined;
    browser.answers.push(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    const slow = state.chooseDevice('microphone', 'one');
    await state.chooseDevice('microphone', 'two');
    const last = state.devices.audio;
    answer({ track: first });
    await slow;
    expect(state.devices.audio).toBe(last);
    expect([first.readyState, last?.readyState]).toEqual(['ended', 'live']);
  });

  test('is opened when the former one has stopped, if the browser opens one at a time', async () => {
    await joined();
    const before = state.devices.video;
    browser.answers.push(Promise.resolve({ error: new DeviceError('camera', 'inUse') }));
    await state.chooseDevice('camera', 'rear');
    expect(browser.asked).toEqual(Array(2).fill(['video', 'rear']));
    expect([before?.readyState, state.devices.video?.readyState]).toEqual(['ended', 'live']);
  });

  test('that cannot be opened is reported, and the former one stays', async () => {
    await joined();
    const before = state.devices.audio;
    const error = new DeviceError('microphone', 'unsuitable');
    browser.answers.push(Promise.resolve({ error }));
    await state.chooseDevice('microphone', 'gone');
    expect(state.devices.audio).toBe(before);
    expect(state.devices.notices).toMatchObject([{ on: 'failed', errors: [error] }]);
  });
});

describe('a device in use that is removed', () => {
  const headset: DeviceInfo = { id: 'Headset', label: 'Headset', role: 'microphone' };

  test('is replaced once, although its track ends as well', async () => {
    await joined();
    const other = trackOf('audio', 'Built-in');
    browser.answers.push(Promise.resolve({ track: other }));
    const ended = control.onSourceStopped('microphone');
    browser.gone([headset]);
    expect(await ended).toBe(other);
    expect(browser.asked).toEqual([['audio', null]]);
    expect(running().sent.get('microphone')?.track).toBe(other);
    expect(state.devices.notices).toMatchObject([{ on: 'removed', label: 'Headset', now: 'Built-in' }]);
  });

  test('ends the source if there is no other one', async () => {
    await joined();
    browser.answers.push(Promise.resolve({ error: new DeviceError('microphone', 'notFound') }));
    browser.gone([headset]);
    await vi.waitFor(() => expect(state.devices.notices).toMatchObject([{ on: 'removed', label: 'Headset', now: null }]));
    expect([...running().sent.keys()]).toEqual(['camera']);
    expect(state.devices.audio).toBe(null);
  });

  test('is not replaced if another one is in use', async () => {
    await joined();
    browser.gone([{ ...headset, id: 'other' }]);
    expect(browser.asked).toEqual([]);
  });
});

describe('video of others', () => {
  test('is off with audio only, and paused for a hidden page', async () => {
    await joined();
    state.setPageHidden(true);
    expect(running().reception).toBe('paused');
    state.setAudioOnly(true);
    expect(running().reception).toBe('off');
    state.setPageHidden(false);
    expect(running().reception).toBe('off');
    expect([...running().sent.keys()]).toEqual(['microphone']);
    expect(state.devices.video).toBe(null);
    await state.toggleCamera();
    expect(running().reception).toBe('on');
    expect([...running().sent.keys()]).toEqual(['microphone', 'camera']);
  });
});

test('devices that the browser opens after the user has joined without them are closed', async () => {
  let open: (captured: Captured) => void = () => undefined;
  browser.both = new Promise((resolve) => {
    open = resolve;
  });
  const opening = state.openDevices();
  control.unuse();
  const late = { audio: fakeTrack('audio'), video: fakeTrack('video') };
  open({ ...late, errors: noErrors, problem: null });
  await opening;
  expect([late.audio.readyState, late.video.readyState]).toEqual(['ended', 'ended']);
  expect(state.devices).toMatchObject({ audio: null, video: null, unused: true });
  await state.toggleMicrophone();
  expect(state.devices.audio?.readyState).toBe('live');
});

test('sound plays on the chosen speaker while it is there', () => {
  const choices = { microphone: null, camera: null, speaker: 'monitor' };
  const devices: DeviceInfo[] = [{ id: 'monitor', label: 'Monitor', role: 'speaker' }];
  expect(speakerOf({ choices, list: { devices, hidden: new Set() } })).toBe('monitor');
  expect(speakerOf({ choices, list: { devices: [], hidden: new Set() } })).toBe(null);
});
