import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hasRelay, Recovery, type RecoveryStep, type RestartConfig, rejoinPauseMs, stepAfter } from './recovery';

const relay: RTCIceServer = { urls: ['turn:192.0.2.1:3478?transport=udp'], username: '1:ada', credential: 'c' };

let servers: RTCIceServer[];
let joined: boolean;
let restarts: RestartConfig[];
let rejoins: number;
let notes: string[];
let recovery: Recovery;

beforeEach(() => {
  vi.useFakeTimers();
  servers = [relay];
  joined = true;
  restarts = [];
  rejoins = 0;
  notes = [];
  const peer = {
    restartIce: (config: RestartConfig) => void restarts.push(config),
    rejoin: () => {
      rejoins += 1;
    },
    iceServers: () => servers,
    isJoined: () => joined,
  };
  recovery = new Recovery(peer, { onChange: () => undefined, note: (what) => notes.push(what) });
});

afterEach(() => vi.useRealTimers());

const step = () => recovery.now?.step;

/** The steps of a path that stays lost for this long. */
function stepsIn(ms: number): RecoveryStep[] {
  const steps: RecoveryStep[] = [];
  for (let at = 0; at < ms; at += 500) {
    const now = step();
    if (now && now !== steps.at(-1)) steps.push(now);
    vi.advanceTimersByTime(500);
  }
  return steps;
}

test('an ICE restart comes first, then a relay, then a new join', () => {
  recovery.onLost('iceRestart');
  expect(recovery.now).toMatchObject({ step: 'iceRestart', attempt: 1 });
  expect(restarts).toEqual([]);
  recovery.onFailed();
  expect(restarts).toEqual([{ iceServers: [relay], iceTransportPolicy: 'relay' }]);
  expect(stepsIn(60_000)).toEqual(['relay', 'rejoin', 'relay', 'rejoin']);
  expect(rejoins).toBe(2);
});

test('a relay has the latest credentials', () => {
  recovery.onLost('iceRestart');
  servers = [{ ...relay, credential: 'later' }];
  expect(recovery.getUpdatedIceServers()).toEqual(servers);
  recovery.handleIceFailure();
  expect(restarts[0]?.iceServers).toEqual(servers);
});

test('without a TURN server, new transports with all paths take the place of the relay', () => {
  servers = [{ urls: 'stun:192.0.2.1:3478' }];
  recovery.onLost('iceRestart');
  recovery.onFailed();
  expect(restarts).toEqual([{ iceServers: servers, iceTransportPolicy: 'all' }]);
  expect(stepsIn(60_000)).toEqual(['newTransports', 'rejoin']);
});

test('a restored path ends the recovery, and the gap is recorded', () => {
  recovery.onLost('iceRestart');
  vi.advanceTimersByTime(700);
  recovery.onFailed();
  vi.advanceTimersByTime(300);
  recovery.onRestored();
  expect(recovery.now).toBe(null);
  expect(notes.at(-1)).toBe('media path restored by relay after 1000 ms');
  vi.advanceTimersByTime(120_000);
  expect([restarts.length, rejoins]).toEqual([1, 0]);
});

test('the next loss begins with an ICE restart again', () => {
  recovery.onLost('iceRestart');
  recovery.onFailed();
  recovery.onRestored();
  recovery.onLost('iceRestart');
  expect(recovery.now).toMatchObject({ step: 'iceRestart', attempt: 1 });
});

test('a loss during a recovery does not begin again', () => {
  recovery.onLost('iceRestart');
  recovery.onFailed();
  recovery.onLost('newTransports');
  expect(step()).toBe('relay');
});

test('without signaling no step is counted as failed', () => {
  recovery.onLost('iceRestart');
  recovery.onFailed();
  joined = false;
  expect(stepsIn(120_000)).toEqual(['relay']);
  joined = true;
  expect(stepsIn(20_000)).toEqual(['relay', 'rejoin']);
});

test('a failure without signaling leads to new transports with all paths', () => {
  joined = false;
  recovery.onLost('iceRestart');
  recovery.onFailed();
  expect(restarts.map(({ iceTransportPolicy }) => iceTransportPolicy)).toEqual(['all']);
});

test('a call that has ended takes no more steps', () => {
  recovery.onLost('iceRestart');
  recovery.onFailed();
  recovery.end();
  vi.advanceTimersByTime(120_000);
  expect([recovery.now, restarts.length, rejoins]).toEqual([null, 1, 0]);
});

describe('the pauses before joins', () => {
  test('double up to half a minute', () => {
    expect([1, 2, 3, 6, 7, 50].map(rejoinPauseMs)).toEqual([1_000, 2_000, 4_000, 30_000, 30_000, 30_000]);
  });

  test('grow with each join that had no result', () => {
    servers = [];
    recovery.onLost('newTransports');
    const attempts = new Set<number>();
    for (let seconds = 0; seconds < 120; seconds += 1) {
      if (step() === 'rejoin') attempts.add(recovery.now?.attempt ?? 0);
      if (seconds === 0) recovery.onFailed();
      vi.advanceTimersByTime(1_000);
    }
    // Each attempt takes its pause and 15 s: joins at 1, 18, 37, 60 and 91 s.
    expect([...attempts]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rejoins).toBe(5);
  });
});

test.each<[RecoveryStep, boolean, RecoveryStep]>([
  ['iceRestart', true, 'relay'],
  ['iceRestart', false, 'newTransports'],
  ['relay', true, 'rejoin'],
  ['newTransports', true, 'rejoin'],
  ['rejoin', true, 'relay'],
  ['rejoin', false, 'rejoin'],
])('after %s with relay %s follows %s', (step, isRelayKnown, next) => {
  expect(stepAfter(step, isRelayKnown)).toBe(next);
});

test('a TURN server is a relay, a STUN server is none', () => {
  expect(hasRelay([{ urls: 'stun:a' }, { urls: ['stun:b', 'turns:c'] }])).toBe(true);
  expect(hasRelay([{ urls: 'stun:a' }])).toBe(false);
  expect(hasRelay([])).toBe(false);
});
