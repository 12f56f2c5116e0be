import { beforeEach, expect, expectTypeOf, test, vi } from 'vitest';
import {
  type CallEvents,
  type CallView,
  type Captured,
  type ChatMessage,
  DeviceError,
  type FileTransfer,
  type LocalSource,
  type Peer,
  type SourceView,
} from '../sdk';
import { fakeTrack } from '../sdk/testing';
import { type CallState, useCallStore } from './useCallStore';

/**
 * A call that accepts everything and publishes it immediately. Hoisted, because the mock below is hoisted and
 * needs it.
 */
const { FakeCall, calls } = await vi.hoisted(async () => {
  const { CallStoreFeed, createCallStore } = await import('../sdk/testing');
  class FakeCall {
    readonly local = new Map<string, LocalSource>();
    readonly store = createCallStore();
    readonly #feed = new CallStoreFeed(this.store);
    readonly #events: CallEvents;
    /** The requests of an administrator; `refusal` is the answer to the next one. */
    readonly asked: unknown[][] = [];
    refusal: Error | null = null;
    readonly admin = Object.fromEntries(
      ['kick', 'ban', 'clearBans', 'setAdmin', 'endRoom', 'mutePeer', 'setRoom', 'admit', 'deny'].map((name) => [
        name,
        async (...args: unknown[]) => {
          this.asked.push([name, ...args]);
          if (this.refusal) throw this.refusal;
        },
      ]),
    );

    constructor(_options: unknown, events: CallEvents) {
      this.#events = events;
      made.push(this);
    }

    show(patch: Partial<CallView> = {}): void {
      const local = new Map(this.local);
      const rest = { peers: [], waitingClients: [], fileTransfers: new Map(), failure: null, ...patch };
      const view = { session: 'Connected', local, ...rest } as unknown as CallView;
      this.#feed.show(view);
      this.#events.onView(view);
    }

    join(): void {
      this.show();
    }

    /** A message of the chat arrives. */
    hear(): void {
      this.#events.onChatMessage?.({} as ChatMessage);
    }

    setSource(source: string, track: MediaStreamTrack | null, paused = false): void {
      if (track) this.local.set(source, { source, kind: track.kind as 'audio' | 'video', track, paused });
      else this.local.delete(source);
      this.show();
    }

    /** The arguments of `setVideoReception`. */
    readonly receptions: string[] = [];

    setVideoReception(reception: string): void {
      this.receptions.push(reception);
    }

    setPaused(source: string, paused: boolean): void {
      const local = this.local.get(source);
      if (local) this.local.set(source, { ...local, paused });
      this.show();
    }

    async leave(): Promise<void> {}
  }

  const made: FakeCall[] = [];
  return { FakeCall, calls: made };
});

/** The browser's answer to a request for both devices. */
const answer = vi.hoisted(() => ({ devices: null as null | (() => Promise<Captured>) }));

vi.mock('../sdk', async (real) => ({
  ...(await real<typeof import('../sdk')>()),
  Call: FakeCall,
  captureDevices: async () =>
    answer.devices?.() ?? {
      audio: fakeTrack('audio'),
      video: fakeTrack('video'),
      problem: null,
      errors: { audio: null, video: null },
    },
  captureOne: async (kind: 'audio' | 'video') => ({ track: fakeTrack(kind) }),
  captureScreen: async () => fakeTrack('video'),
}));

const state = () => useCallStore.getState();
const running = () => calls.at(-1) as InstanceType<typeof FakeCall>;
const trackOf = (source: string) => running().local.get(source)?.track as MediaStreamTrack;

beforeEach(async () => {
  await state().leave();
  await state().openDevices();
  await state().join();
});

test('a call sends what the preview showed', () => {
  expect([...running().local.keys()]).toEqual(['microphone', 'camera']);
  expect(trackOf('camera')).toBe(state().devices.video);
});

test('a call that failed leaves no device running', async () => {
  await state().toggleScreen();
  const tracks = ['microphone', 'camera', 'screen'].map(trackOf);
  expect(tracks.map(({ readyState }) => readyState)).toEqual(['live', 'live', 'live']);
  running().show({ session: 'Ended', failure: new Error('You were removed from the room.') });
  expect(tracks.map(({ readyState }) => readyState)).toEqual(['ended', 'ended', 'ended']);
  expect(state()).toMatchObject({ call: null, failure: { reason: 'You were removed from the room.' } });
  expect(state().devices).toMatchObject({ audio: null, video: null });
});

test('a call that was left leaves no device running', async () => {
  await state().toggleScreen();
  const tracks = ['microphone', 'camera', 'screen'].map(trackOf);
  await state().leave();
  expect(tracks.map(({ readyState }) => readyState)).toEqual(['ended', 'ended', 'ended']);
});

test('a camera that the server refuses is switched off, and offered again when it is switched on', async () => {
  const refused = trackOf('camera');
  running().setSource('camera', null);
  expect(refused.readyState).toBe('ended');
  expect(state().devices.video).toBe(null);
  await state().toggleCamera();
  expect(trackOf('camera').readyState).toBe('live');
  expect(trackOf('camera')).toBe(state().devices.video);
  expect(running().local.get('camera')?.paused).toBe(false);
});

test('a microphone that an administrator muted is unmuted with one press', async () => {
  running().setPaused('microphone', true);
  expect(state().devices).toMatchObject({ audioOn: false, videoOn: true });
  await state().toggleMicrophone();
  expect(running().local.get('microphone')?.paused).toBe(false);
  expect(state().devices.audioOn).toBe(true);
});

test('a screen that is no longer shared is no longer captured', async () => {
  await state().toggleScreen();
  const screen = trackOf('screen');
  await state().toggleScreen();
  expect(running().local.has('screen')).toBe(false);
  expect(screen.readyState).toBe('ended');
});

test('a permission prompt without an answer does not delay the call, and devices that it gives later are sent', async () => {
  await state().leave();
  let allow: (captured: Captured) => void = () => undefined;
  answer.devices = () =>
    new Promise((done) => {
      allow = done;
    });
  void state().openDevices();
  await state().join();
  answer.devices = null;
  expect(state().call?.session).toBe('Connected');
  expect([...running().local.keys()]).toEqual([]);
  expect(state().notices.at(-1)?.content).toEqual({ about: 'devicesAsked' });
  allow({ audio: fakeTrack('audio'), video: fakeTrack('video'), problem: null, errors: { audio: null, video: null } });
  await vi.waitFor(() => expect([...running().local.keys()]).toEqual(['microphone', 'camera']));
});

test('a call without a camera shows the reason until it is dismissed', async () => {
  await state().leave();
  const errors = { audio: null, video: new DeviceError('camera', 'blocked') };
  answer.devices = async () => ({ audio: fakeTrack('audio'), video: null, errors, problem: 'Your camera is blocked.' });
  void state().openDevices();
  await state().join();
  answer.devices = null;
  expect([...running().local.keys()]).toEqual(['microphone']);
  const [notice] = state().devices.notices;
  expect(notice).toMatchObject({ on: 'failed', errors: [errors.video] });
  state().dismissDeviceNotice(notice?.id ?? 0);
  expect(state().devices.notices).toEqual([]);
});

test('an administrator reads once that a person waits', () => {
  const count = () =>
    state().notices.filter(
      ({ content }) => typeof content === 'object' && content.about === 'waiting' && content.name === 'Grace',
    ).length;
  const waitingClients = [{ id: 'w1', user: 'grace', name: 'Grace' }];
  running().show({ waitingClients });
  running().show({ waitingClients });
  expect(count()).toBe(1);
  // Denied, and back again.
  running().show();
  running().show({ waitingClients: [{ id: 'w2', user: 'grace', name: 'Grace' }] });
  expect(count()).toBe(2);
});

test('an administrator mutes only the sound of a peer, and may end it', async () => {
  await state().mutePeer('bob', true);
  expect([...state().mutedPeers]).toEqual(['bob']);
  await state().mutePeer('bob', false);
  expect([...state().mutedPeers]).toEqual([]);
  expect(running().asked).toEqual([
    ['mutePeer', 'bob', true, 'audio'],
    ['mutePeer', 'bob', false, 'audio'],
  ]);
});

test('a refused request of an administrator has a notice, and changes nothing', async () => {
  running().refusal = new Error('no other peer with this id is in the room (any more)');
  await state().mutePeer('bob', true);
  expect([...state().mutedPeers]).toEqual([]);
  await state().kickPeer('bob');
  expect(running().asked).toHaveLength(2);
  expect(state().notices.at(-1)?.content).toEqual({
    about: 'notDone',
    reason: 'no other peer with this id is in the room (any more)',
  });
});

test('a host hands the role over only after the other has it', async () => {
  running().show({ peerId: 'me' });
  await state().setHost('bob', true, true);
  expect(running().asked).toEqual([
    ['setAdmin', 'bob', true],
    ['setAdmin', 'me', false],
  ]);
  running().asked.length = 0;
  running().refusal = new Error('gone');
  await state().setHost('bob', true, true);
  expect(running().asked).toEqual([['setAdmin', 'bob', true]]);
});

test('messages that come while the chat is closed are counted, and the next panel closes the chat', () => {
  const message = () => running().hear();
  message();
  message();
  expect(state().unread).toBe(2);
  state().togglePeople();
  state().toggleChat();
  expect(state()).toMatchObject({ unread: 0, chatOpen: true, peopleOpen: false });
  message();
  expect(state().unread).toBe(0);
  state().toggleFiles();
  expect(state()).toMatchObject({ chatOpen: false, filesOpen: true });
});

test('the other requests of an administrator reach the call', async () => {
  await state().kickPeer('bob');
  await state().setRoom({ locked: true });
  await state().admit('w1');
  await state().deny('w2');
  expect(running().asked).toEqual([
    ['kick', 'bob'],
    ['setRoom', { locked: true }],
    ['admit', 'w1'],
    ['deny', 'w2'],
  ]);
});

test('the state has the fields that applications share, with these types', () => {
  interface Shared {
    peers: Map<string, Peer>;
    addPeer: (peerId: string, peer: Peer) => void;
    removePeer: (peerId: string) => void;
    localStream: MediaStream | null;
    remoteStreams: MediaStream[];
    fileTransfers: Map<string, FileTransfer>;
  }
  expectTypeOf<Pick<CallState, keyof Shared>>().toEqualTypeOf<Shared>();
  expectTypeOf(useCallStore.getState).returns.toEqualTypeOf<CallState>();
});

const bob = (...sources: Partial<SourceView>[]) => ({ id: 'bob', name: 'Bob', sources }) as unknown as Peer;

test('the shared fields follow the call, and are empty after it', async () => {
  const camera = fakeTrack('video');
  const transfer = { id: 't1', state: 'active' } as FileTransfer;
  const fileTransfers = new Map([['t1', transfer]]);
  running().show({ peers: [bob({ id: 'v1', source: 'camera', track: camera })], fileTransfers });
  expect(state().peers.get('bob')?.name).toBe('Bob');
  expect(state().remoteStreams.map((stream) => stream.getTracks())).toEqual([[camera]]);
  expect(state().localStream?.getTracks()).toEqual([trackOf('microphone'), trackOf('camera')]);
  expect(state().fileTransfers.get('t1')).toBe(transfer);
  await state().leave();
  expect(state()).toMatchObject({ peers: new Map(), localStream: null, remoteStreams: [], fileTransfers: new Map() });
});

test('a file that is offered is announced once, unless the files are shown', () => {
  const offer = (id: string) => ({ id, peerId: 'bob', direction: 'receive', state: 'offered', metadata: { name: `${id}.txt` } });
  const show = (...offers: object[]) =>
    running().show({ peers: [bob()], fileTransfers: new Map((offers as FileTransfer[]).map((each) => [each.id, each])) });
  const offers = () =>
    state().notices.flatMap(({ content }) => (typeof content === 'object' && content.about === 'fileOffered' ? [content] : []));
  show(offer('a'));
  show(offer('a'), { ...offer('sent'), direction: 'send' });
  expect(offers()).toEqual([{ about: 'fileOffered', name: 'Bob', file: 'a.txt' }]);
  state().toggleFiles();
  show(offer('a'), offer('b'));
  expect(offers()).toHaveLength(1);
});

test('one panel is open at a time, and none after the call', async () => {
  const panels = () => [state().peopleOpen, state().statisticsOpen, state().filesOpen];
  state().togglePeople();
  state().toggleFiles();
  expect(panels()).toEqual([false, false, true]);
  state().toggleStatistics();
  expect(panels()).toEqual([false, true, false]);
  state().toggleFiles();
  await state().leave();
  expect(panels()).toEqual([false, false, false]);
});

test('the shared fields are empty after a call that failed', () => {
  running().show({ peers: [bob()] });
  running().show({ session: 'Ended', failure: new Error('removed') });
  expect(state()).toMatchObject({ peers: new Map(), localStream: null });
});

test('a peer can be added and removed by hand, until the call reports its own peers', () => {
  const before = state().peers;
  state().addPeer('bob', bob());
  expect([...state().peers.keys()]).toEqual(['bob']);
  expect(before.size).toBe(0);
  state().removePeer('bob');
  expect(state().peers.size).toBe(0);
  const same = state().peers;
  state().removePeer('bob');
  expect(state().peers).toBe(same);
  state().addPeer('bob', bob());
  running().show();
  expect(state().peers.size).toBe(0);
});
