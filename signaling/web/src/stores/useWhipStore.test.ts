import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Captured, DeviceError, WhipError, type WhipOptions, type WhipSession } from '../sdk';
import { fakeTrack } from '../sdk/testing';
import { useWhipStore } from './useWhipStore';

type Asked = WhipOptions & { codec?: string; onTrack?: (track: MediaStreamTrack) => void };

/** Node.js has no WebRTC: the answers to the requests for sessions, and the requests. Hoisted with the mock below. */
const { sdk } = vi.hoisted(() => ({
  sdk: {
    captured: { audio: null, video: null, problem: null, errors: { audio: null, video: null } } as Captured,
    asked: [] as Asked[],
    opens: [] as ((asked: Asked) => Promise<WhipSession>)[],
  },
}));

vi.mock('../sdk', async (actual) => {
  const open = (asked: Asked) => {
    sdk.asked.push(asked);
    const next = sdk.opens.shift();
    return next ? next(asked) : Promise.reject(new Error('unexpected'));
  };
  return {
    ...(await actual<typeof import('../sdk')>()),
    captureDevices: async () => sdk.captured,
    publishByWhip: (_: readonly MediaStreamTrack[], asked: Asked) => open(asked),
    playByWhep: (_: readonly string[], asked: Asked) => open(asked),
  };
});

class Session {
  closed = 0;
  restarts = 0;
  refusal: Error | null = null;
  readonly connection = Object.assign(new EventTarget(), {
    connectionState: 'new',
    getStats: async () => new Map([['V', { id: 'V', type: 'inbound-rtp', kind: 'video', framesDecoded: 9 }]]),
  });
  to(state: string) {
    this.connection.connectionState = state;
    this.connection.dispatchEvent(new Event('connectionstatechange'));
  }
  async restartIce() {
    this.restarts += 1;
    if (this.refusal) throw this.refusal;
  }
  async close() {
    this.closed += 1;
  }
  get real() {
    return this as unknown as WhipSession;
  }
}

const state = () => useWhipStore.getState();
const accepts = (session: Session) => sdk.opens.push(async () => session.real);

beforeEach(() => {
  vi.useFakeTimers();
  sdk.captured = { audio: fakeTrack('audio'), video: fakeTrack('video'), problem: null, errors: { audio: null, video: null } };
  [sdk.asked, sdk.opens] = [[], []];
  state().setForm({ room: 'mill pond', name: ' Camera 1 ', token: ' a.b.c ', codec: 'video/VP8' });
});

afterEach(async () => {
  await state().stop();
  vi.useRealTimers();
});

test('publishes the camera and the microphone to the room, and stops them', async () => {
  const session = new Session();
  accepts(session);
  await state().publish();
  expect(sdk.asked).toMatchObject([{ url: '/whip/mill%20pond?name=Camera+1', token: 'a.b.c', codec: 'video/VP8' }]);
  expect(state()).toMatchObject({ status: 'connecting', tracksAreOwn: true });
  session.to('connected');
  expect(state().status).toBe('publishing');
  const { tracks } = state();
  expect(tracks.map(({ kind }) => kind)).toEqual(['audio', 'video']);
  await state().stop();
  expect(state()).toMatchObject({ status: 'idle', tracks: [], streams: [] });
  expect(tracks.every(({ readyState }) => readyState === 'ended')).toBe(true);
  expect(session.closed).toBe(1);
});

test('without a device there is nothing to publish', async () => {
  const missing = new DeviceError('camera', 'notFound');
  sdk.captured = { audio: null, video: null, problem: 'No camera was found.', errors: { audio: null, video: missing } };
  await state().publish();
  expect(state()).toMatchObject({ status: 'failed', reason: '', deviceErrors: [missing] });
  expect(sdk.asked).toEqual([]);
});

test('a player shows its tracks and streams', async () => {
  const session = new Session();
  const track = fakeTrack('video');
  sdk.opens.push(async ({ onTrack }) => {
    onTrack?.(track);
    return session.real;
  });
  await state().play();
  session.to('connected');
  expect(sdk.asked[0]?.url).toBe('/whep/mill%20pond');
  expect(state()).toMatchObject({ status: 'playing', tracks: [track], tracksAreOwn: false });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(state().streams).toMatchObject([{ direction: 'received', count: 9 }]);
});

test('a player of an empty room asks again after the pause of the server, until it is stopped', async () => {
  const session = new Session();
  const empty = async () => Promise.reject(new WhipError(409, 'There is no publisher.', 3_000));
  sdk.opens.push(empty, empty);
  accepts(session);
  const playing = state().play();
  await vi.advanceTimersByTimeAsync(2_999);
  expect(state()).toMatchObject({ status: 'waiting', reason: 'There is no publisher.' });
  expect(sdk.asked.length).toBe(1);
  await vi.advanceTimersByTimeAsync(3_001);
  await playing;
  expect(sdk.asked.length).toBe(3);
  session.to('connected');
  expect(state().status).toBe('playing');

  sdk.opens.push(empty);
  const again = state().play();
  await vi.advanceTimersByTimeAsync(1_000);
  await state().stop();
  await vi.advanceTimersByTimeAsync(9_000);
  await again;
  expect(sdk.asked.length).toBe(4);
  expect(state().status).toBe('idle');
});

test('a refusal is shown', async () => {
  sdk.opens.push(async () => Promise.reject(new WhipError(401, 'The token has expired.')));
  await state().publish();
  expect(state()).toMatchObject({ status: 'failed', reason: 'The token has expired.', tracks: [] });
});

test('a session that arrives after Stop is closed', async () => {
  const session = new Session();
  let answer = (_: WhipSession) => {};
  sdk.opens.push(() => new Promise((done) => (answer = done)));
  const publishing = state().publish();
  await vi.waitFor(() => expect(sdk.asked.length).toBe(1));
  await state().stop();
  answer(session.real);
  await publishing;
  expect(session.closed).toBe(1);
  session.to('connected');
  expect(state().status).toBe('idle');
});

test('a failed connection is restarted; a refused restart ends the session', async () => {
  const session = new Session();
  accepts(session);
  await state().publish();
  session.to('connected');
  session.to('failed');
  expect(session.restarts).toBe(1);
  session.to('connected');
  expect(state().status).toBe('publishing');
  session.refusal = new WhipError(404, 'The session has ended.');
  session.to('failed');
  await vi.waitFor(() => expect(state().status).toBe('failed'));
  expect(state().reason).toBe('The session has ended.');
  expect(session.closed).toBe(1);
});
