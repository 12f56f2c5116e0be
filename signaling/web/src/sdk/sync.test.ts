import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { PeerSchema } from '../gen/signal_pb';
import { emptyRoster, rosterOf } from './roster';
import { Hints, type LocalSource } from './sources';
import { type Action, differences, type Existing, type ExistingOutgoing, nameOf, type Wanted } from './sync';

const track = (id: string) => ({ id }) as MediaStreamTrack;
const cameraTrack = track('camera');
const camera = (rest: Partial<LocalSource> = {}): LocalSource => ({
  source: 'camera',
  kind: 'video',
  track: cameraTrack,
  paused: false,
  ...rest,
});

const bob = (...ids: string[]) =>
  rosterOf([
    create(PeerSchema, { id: 'bob', displayName: 'Bob', producers: ids.map((id) => ({ id, kind: 'video', source: 'camera' })) }),
  ]);

function wanted(rest: Partial<Wanted> = {}): Wanted {
  const maps = { local: new Map(), subscribers: new Map(), lines: new Map(), pinned: new Map() };
  return { ...maps, roster: emptyRoster, unplayable: new Set(), videoReception: 'on', wantsChannel: () => true, ...rest };
}

const ofLocal = (...sources: LocalSource[]) => wanted({ local: new Map(sources.map((source) => [source.source, source])) });

function outgoing(key: string, rest: Partial<ExistingOutgoing> & { paused?: boolean; track?: MediaStreamTrack } = {}) {
  const producer = { id: `id of ${key}`, track: rest.track ?? cameraTrack, paused: rest.paused ?? false };
  return { key, producer, serverPaused: false, subscribers: 'everyone' as const, sending: null, ...rest };
}

function existing(rest: Partial<Existing> & { sends?: ExistingOutgoing[] } = {}): Existing {
  return {
    outgoing: new Map((rest.sends ?? []).map((one) => [one.key, one])),
    incoming: new Map(),
    incomingChannels: new Map(),
    hints: new Hints(),
    restartsDue: [],
    canProduce: () => true,
    ...rest,
  };
}

const received = (
  rest: Partial<{ spatialLayers: number; serverPaused: boolean; preferred: { spatialLayer: number } | null }> = {},
) => existing({ incoming: new Map([['v1', { spatialLayers: 3, serverPaused: false, preferred: null, ...rest }]]) });

test('no difference gives no action', () => {
  expect(differences(ofLocal(camera()), existing({ sends: [outgoing('camera')] }))).toEqual([]);
  expect(differences(wanted({ roster: bob('v1') }), received())).toEqual([]);
});

describe('a local source', () => {
  test('without a producer is produced, if the browser and the server share a codec', () => {
    expect(differences(ofLocal(camera()), existing())).toEqual([{ do: 'produce', key: 'camera', local: camera(), held: false }]);
    expect(differences(ofLocal(camera()), existing({ canProduce: () => false }))).toEqual([]);
  });

  test('that was removed has its producer closed', () => {
    expect(differences(wanted(), existing({ sends: [outgoing('camera')] }))).toEqual([{ do: 'closeProducer', key: 'camera' }]);
  });

  test('with another track replaces it', () => {
    const other = track('other');
    expect(differences(ofLocal(camera({ track: other })), existing({ sends: [outgoing('camera')] }))).toEqual([
      { do: 'replaceTrack', key: 'camera', track: other },
    ]);
  });

  test.each([true, false])('that is paused (%s) is muted in the browser first, then on the server', (paused) => {
    const sends = [outgoing('camera', { paused: !paused, serverPaused: !paused })];
    expect(differences(ofLocal(camera({ paused })), existing({ sends }))).toEqual([
      { do: 'mute', key: 'camera', muted: paused },
      { do: 'pauseProducer', key: 'camera', source: 'camera', paused },
    ]);
  });

  test('sends the layers that have receivers', () => {
    const hints = new Hints();
    hints.wanted.set('id of camera', new Set([0]));
    const differ = (sending: ReadonlySet<number> | null) =>
      differences(ofLocal(camera()), existing({ sends: [outgoing('camera', { sending })], hints }));
    expect(differ(null)).toEqual([{ do: 'sendWanted', key: 'camera' }]);
    expect(differ(hints.wanted.get('id of camera') ?? null)).toEqual([]);
  });
});

describe('a source for some users', () => {
  const list = ['grace'];
  const forGrace = { ...ofLocal(camera()), subscribers: new Map([['camera', list]]) };
  const differ = (...sends: ExistingOutgoing[]) => differences(forGrace, existing({ sends }));
  const setSubscribers: Action = { do: 'setSubscribers', key: 'camera', source: 'camera', subscribers: list };

  test('begins paused, and continues when the server has the list', () => {
    expect(differ()).toEqual([{ do: 'produce', key: 'camera', local: camera(), held: true }]);
    const held = { paused: true, serverPaused: true };
    expect(differ(outgoing('camera', { ...held, subscribers: null }))).toEqual([setSubscribers]);
    expect(differ(outgoing('camera', { ...held, subscribers: list }))).toEqual([
      { do: 'mute', key: 'camera', muted: false },
      { do: 'pauseProducer', key: 'camera', source: 'camera', paused: false },
    ]);
    expect(differ(outgoing('camera', { subscribers: list }))).toEqual([]);
  });

  test('that went to everyone before is not paused', () => {
    expect(differ(outgoing('camera'))).toEqual([setSubscribers]);
  });

  test('goes to everyone again', () => {
    expect(differences(ofLocal(camera()), existing({ sends: [outgoing('camera', { subscribers: list })] }))).toEqual([
      { ...setSubscribers, subscribers: 'everyone' },
    ]);
  });

  test('has a backup that begins paused, too, and has no list itself', () => {
    const backup = { key: 'camera in video/VP8', producerId: 'id of camera', mimeType: 'video/VP8' };
    const hints = new Hints();
    hints.backups.set(backup.key, backup);
    const first = outgoing('camera', { paused: true, serverPaused: true, subscribers: null });
    const of = (...sends: ExistingOutgoing[]) => differences(forGrace, existing({ hints, sends }));
    expect(of(first)).toEqual([setSubscribers, { do: 'produce', key: backup.key, local: camera(), held: true, backup }]);
    expect(of(outgoing('camera', { subscribers: list }), outgoing(backup.key))).toEqual([]);
  });
});

describe('a backup', () => {
  const backup = { key: 'camera in video/VP8', producerId: 'id of camera', mimeType: 'video/VP8' };
  const hints = new Hints();
  hints.backups.set(backup.key, backup);

  test('is produced beside the first producer of its source, and not before', () => {
    const produce: Action = { do: 'produce', key: backup.key, local: camera(), held: false, backup };
    expect(differences(ofLocal(camera()), existing({ hints, sends: [outgoing('camera')] }))).toEqual([produce]);
    expect(differences(ofLocal(camera()), existing({ hints })).map((action) => action.do)).toEqual(['produce']);
  });

  test('is paused with its source', () => {
    const sends = [outgoing('camera', { paused: true, serverPaused: true }), outgoing(backup.key)];
    expect(differences(ofLocal(camera({ paused: true })), existing({ hints, sends }))).toEqual([
      { do: 'mute', key: backup.key, muted: true },
      { do: 'pauseProducer', key: backup.key, source: 'camera', paused: true },
    ]);
  });

  test('of a removed source is closed with the first producer; one that is no longer wanted is closed alone', () => {
    const sends = [outgoing('camera'), outgoing(backup.key)];
    expect(differences(wanted(), existing({ hints, sends }))).toEqual([{ do: 'closeProducer', key: 'camera' }]);
    expect(differences(ofLocal(camera()), existing({ sends }))).toEqual([{ do: 'closeProducer', key: backup.key }]);
  });
});

describe('a source of another peer', () => {
  const inRoom = (rest: Partial<Wanted> = {}) => wanted({ roster: bob('v1'), ...rest });

  test('is consumed, unless it is unplayable', () => {
    expect(differences(inRoom(), existing())).toEqual([{ do: 'consume', producerId: 'v1', peerId: 'bob', source: 'camera' }]);
    expect(differences(inRoom({ unplayable: new Set(['v1']) }), existing())).toEqual([]);
  });

  test('that has left the roster is forgotten', () => {
    expect(differences(wanted(), received())).toEqual([{ do: 'forgetConsumer', producerId: 'v1' }]);
  });

  test('is resumed after its layers are set', () => {
    const lines = new Map([['v1', 180]]);
    const setLayers = { do: 'setLayers', producerId: 'v1', layers: { spatialLayer: 0 } };
    expect(differences(inRoom({ lines }), received({ serverPaused: true }))).toEqual([setLayers]);
    expect(differences(inRoom({ lines }), received({ serverPaused: true, preferred: { spatialLayer: 0 } }))).toEqual([
      { do: 'resumeConsumer', producerId: 'v1' },
    ]);
  });

  test('has the layers of its size on screen, of the pin instead if there is one, and the highest when neither is left', () => {
    const lines = new Map([['v1', 400]]);
    const pinned = new Map([['v1', { spatialLayer: 2, temporalLayer: 1 }]]);
    const layersOf = (rest: Partial<Wanted>, preferred: { spatialLayer: number } | null = null) =>
      differences(inRoom(rest), received({ preferred })).map((action) => action.do === 'setLayers' && action.layers);
    expect(layersOf({ lines })).toEqual([{ spatialLayer: 1 }]);
    expect(layersOf({ lines, pinned })).toEqual([{ spatialLayer: 2, temporalLayer: 1 }]);
    expect(layersOf({}, { spatialLayer: 0 })).toEqual([{ spatialLayer: 2 }]);
    expect(layersOf({}, { spatialLayer: 2 })).toEqual([]);
  });

  test('with one size has no layers to choose', () => {
    expect(differences(inRoom({ lines: new Map([['v1', 10]]) }), received({ spatialLayers: 1 }))).toEqual([]);
  });
});

test('ICE restarts come first', () => {
  const actions = differences(ofLocal(camera()), existing({ restartsDue: ['recv'] }));
  expect(actions.map(nameOf)).toEqual(['restart ICE of recv', 'send camera']);
});

test('actions that cannot fail have no name', () => {
  expect(nameOf({ do: 'mute', key: 'camera', muted: true })).toBe(null);
  expect(nameOf({ do: 'forgetConsumer', producerId: 'v1' })).toBe(null);
});

describe('the channel of a peer', () => {
  const roster = rosterOf([create(PeerSchema, { id: 'bob', dataProducers: [{ id: 'd1', label: 'game' }] })]);
  const consume: Action = { do: 'consumeData', dataProducerId: 'd1', peerId: 'bob' };

  test('is received once', () => {
    expect(differences(wanted({ roster }), existing())).toEqual([consume]);
    expect(differences(wanted({ roster }), existing({ incomingChannels: new Map([['d1', {}]]) }))).toEqual([]);
    expect(nameOf(consume)).toBe('receive channel d1');
  });

  test('is not received after a lasting refusal, or with a label that is not wanted', () => {
    expect(differences(wanted({ roster, unplayable: new Set(['d1']) }), existing())).toEqual([]);
    expect(differences(wanted({ roster, wantsChannel: (label) => label !== 'game' }), existing())).toEqual([]);
  });

  test('is forgotten when its peer no longer has it', () => {
    const forget = { do: 'forgetData', dataProducerId: 'd1' };
    expect(differences(wanted(), existing({ incomingChannels: new Map([['d1', {}]]) }))).toEqual([forget]);
  });
});

describe('video of others', () => {
  const roster = rosterOf([
    create(PeerSchema, {
      id: 'bob',
      displayName: 'Bob',
      producers: [
        { id: 'v1', kind: 'video', source: 'camera' },
        { id: 'a1', kind: 'audio', source: 'microphone' },
      ],
    }),
  ]);
  const sound = { do: 'consume', producerId: 'a1', peerId: 'bob', source: 'microphone' };

  test.each(['paused', 'off'] as const)('that is %s is not requested; sound is', (videoReception) => {
    expect(differences(wanted({ roster, videoReception }), existing())).toEqual([sound]);
  });

  test('that is paused stays and is paused on the server, once', () => {
    expect(differences(wanted({ roster, videoReception: 'paused' }), received())).toEqual([
      { do: 'pauseConsumer', producerId: 'v1' },
      sound,
    ]);
    expect(differences(wanted({ roster, videoReception: 'paused' }), received({ serverPaused: true }))).toEqual([sound]);
  });

  test('that is off is closed', () => {
    expect(differences(wanted({ roster, videoReception: 'off' }), received())).toEqual([
      { do: 'closeConsumer', producerId: 'v1' },
      sound,
    ]);
  });

  test('that is on again is resumed', () => {
    expect(differences(wanted({ roster: bob('v1') }), received({ serverPaused: true }))).toEqual([
      { do: 'resumeConsumer', producerId: 'v1' },
    ]);
  });
});
