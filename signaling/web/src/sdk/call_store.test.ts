import { beforeEach, expect, test } from 'vitest';
import { type CallStore, CallStoreFeed, createCallStore } from './call_store';
import { fakeTrack } from './testing';
import type { CallView, PeerView, SourceView } from './view';

let store: CallStore;
let feed: CallStoreFeed;

beforeEach(() => {
  store = createCallStore();
  feed = new CallStoreFeed(store);
});

const [microphone, camera, screen] = [fakeTrack('audio'), fakeTrack('video'), fakeTrack('video')];

const source = (source: string, track: MediaStreamTrack | null) => ({ id: `${source}-1`, source, track }) as SourceView;
const peer = (id: string, ...sources: SourceView[]) => ({ id, sources }) as unknown as PeerView;
const own = (...tracks: [string, MediaStreamTrack][]) =>
  new Map(tracks.map(([source, track]) => [source, { source, track, kind: 'video', paused: false } as const]));

function show(rest: Partial<CallView>): void {
  feed.show({ session: 'Connected', peers: [], local: new Map(), fileTransfers: new Map(), ...rest } as unknown as CallView);
}

const tracks = () => store.getState().remoteStreams.map((stream) => stream.getTracks());

test('a peer has one stream for microphone and camera, and one for its screen', () => {
  show({ peers: [peer('bob', source('microphone', microphone), source('screen', screen), source('camera', camera))] });
  expect(tracks()).toEqual([[microphone, camera], [screen]]);
});

test('a peer without received tracks has no stream', () => {
  show({ peers: [peer('bob', source('camera', null)), peer('eve')] });
  expect(tracks()).toEqual([]);
  expect([...store.getState().peers.keys()]).toEqual(['bob', 'eve']);
});

test('a stream stays the same object while a track of it stays', () => {
  show({ peers: [peer('bob', source('microphone', microphone))] });
  const [first] = store.getState().remoteStreams;
  show({
    peers: [peer('bob', source('microphone', microphone), source('camera', camera)), peer('eve', source('camera', screen))],
  });
  expect(store.getState().remoteStreams[0]).toBe(first);
  expect(tracks()).toEqual([[microphone, camera], [screen]]);
  show({ peers: [peer('bob', source('camera', camera))] });
  expect(store.getState().remoteStreams).toEqual([first]);
  expect(tracks()).toEqual([[camera]]);
  show({});
  expect(store.getState().remoteStreams).toEqual([]);
});

test('the list of streams and the peers stay the same objects while nothing changes', () => {
  const bob = peer('bob', source('microphone', microphone));
  show({ peers: [bob] });
  const { remoteStreams, peers } = store.getState();
  show({ peers: [bob] });
  expect(store.getState().remoteStreams).toBe(remoteStreams);
  expect(store.getState().peers).toBe(peers);
  show({ peers: [{ ...bob, name: 'Robert' }] });
  expect(store.getState().remoteStreams).toBe(remoteStreams);
  expect(store.getState().peers).not.toBe(peers);
});

test('the own stream has what is sent, without the screen', () => {
  show({ local: own(['screen', screen]) });
  expect(store.getState().localStream).toBe(null);
  show({ local: own(['microphone', microphone], ['screen', screen]) });
  const { localStream } = store.getState();
  expect(localStream?.getTracks()).toEqual([microphone]);
  show({ local: own(['microphone', microphone], ['camera', camera]) });
  expect(store.getState().localStream).toBe(localStream);
  expect(localStream?.getTracks()).toEqual([microphone, camera]);
});

test('a call that has ended leaves nothing', () => {
  show({ peers: [peer('bob', source('microphone', microphone))], local: own(['camera', camera]) });
  show({ session: 'Ended', local: own(['camera', camera]) });
  const { peers, localStream, remoteStreams, view } = store.getState();
  expect({ peers, localStream, remoteStreams }).toEqual({ peers: new Map(), localStream: null, remoteStreams: [] });
  expect(view?.session).toBe('Ended');
});
