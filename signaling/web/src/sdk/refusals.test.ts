import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ErrorCode, PeerSchema } from '../gen/signal_pb';
import type { CallNotice } from './notice';
import { type Consequence, consequenceOf } from './refusals';
import { rosterOf } from './roster';
import type { Action } from './sync';

const roster = rosterOf([
  create(PeerSchema, { id: 'bob', displayName: 'Bob', producers: [{ id: 'v1', kind: 'video', source: 'camera' }] }),
]);
const local = { source: 'camera', kind: 'video', track: {} as MediaStreamTrack, paused: false } as const;
const key = 'camera in video/VP8';

const consume: Action = { do: 'consume', producerId: 'v1', peerId: 'bob', source: 'camera' };
const resume: Action = { do: 'resumeConsumer', producerId: 'v1' };
const produce: Action = { do: 'produce', key: 'camera', local, held: false };
const pause: Action = { do: 'pauseProducer', key: 'camera', source: 'camera', paused: true };
const backup: Action = { do: 'produce', key, local, held: false, backup: { key, producerId: 'p1', mimeType: 'video/VP8' } };
const restrict: Action = { do: 'setSubscribers', key: 'camera', source: 'camera', subscribers: ['grace'] };
const consumeData: Action = { do: 'consumeData', dataProducerId: 'd1', peerId: 'bob' };
const pauseBackup: Action = { do: 'pauseProducer', key, source: 'camera', paused: true };

const { NO_SUCH_PRODUCER, NO_SUCH_CONSUMER, CANNOT_CONSUME, TOKEN_PERMISSION, LIMIT, UNSUPPORTED_CODEC, ENGINE_REFUSED } =
  ErrorCode;

const cannotPlay: CallNotice = { code: 'CANNOT_PLAY', source: 'camera', name: 'Bob' };
const notAccepted: CallNotice = { code: 'SUBSCRIBERS_REFUSED', source: 'camera' };
const noData: CallNotice = { code: 'CHANNELS_UNAVAILABLE' };
const mayNotReceive: CallNotice = { code: 'MAY_NOT_RECEIVE' };

test.each<[Action, ErrorCode, Consequence | null]>([
  [consume, NO_SUCH_PRODUCER, { removeSource: 'v1' }],
  [resume, NO_SUCH_CONSUMER, { forgetConsumer: 'v1' }],
  [consume, CANNOT_CONSUME, { unplayable: 'v1', notice: cannotPlay }],
  [consume, TOKEN_PERMISSION, { unplayable: 'v1', forgetConsumer: 'v1', notice: mayNotReceive, noticeOnce: true }],
  [consume, ENGINE_REFUSED, null],
  [consumeData, NO_SUCH_PRODUCER, { removeChannel: 'd1' }],
  [consumeData, ENGINE_REFUSED, { unplayable: 'd1', notice: noData, noticeOnce: true }],
  [consumeData, LIMIT, { unplayable: 'd1', notice: noData, noticeOnce: true }],
  [consumeData, TOKEN_PERMISSION, { unplayable: 'd1' }],
  [consumeData, CANNOT_CONSUME, null],
  [pause, NO_SUCH_PRODUCER, { forgetProducer: 'camera' }],
  [produce, TOKEN_PERMISSION, { stopSource: 'camera', notice: { code: 'MAY_NOT_SEND', source: 'camera' } }],
  [produce, LIMIT, { stopSource: 'camera', notice: { code: 'SOURCE_REFUSED', source: 'camera' } }],
  [produce, UNSUPPORTED_CODEC, { stopSource: 'camera', notice: { code: 'SOURCE_REFUSED', source: 'camera' } }],
  [produce, ENGINE_REFUSED, null],
  [restrict, NO_SUCH_PRODUCER, { forgetProducer: 'camera' }],
  [restrict, LIMIT, { stopSource: 'camera', notice: notAccepted }],
  [restrict, ErrorCode.BAD_MESSAGE, { stopSource: 'camera', notice: notAccepted }],
  [restrict, ENGINE_REFUSED, null],
  [backup, LIMIT, { dropBackup: key }],
  [backup, ENGINE_REFUSED, { dropBackup: key }],
  [pauseBackup, TOKEN_PERMISSION, { dropBackup: key }],
  [{ do: 'restartIce', direction: 'send' }, ErrorCode.NO_SUCH_TRANSPORT, null],
])('%o refused with code %i leads to %o', (action, code, consequence) => {
  expect(consequenceOf(action, { errorCode: code, retryAfterMs: 0 }, roster)).toEqual(consequence);
  // A refusal with a pause is temporary, whatever its code.
  expect(consequenceOf(action, { errorCode: code, retryAfterMs: 400 }, roster)).toBe(null);
});

test('a source that is no longer in the roster has a notice without its name', () => {
  const consequence = consequenceOf(consume, { errorCode: CANNOT_CONSUME, retryAfterMs: 0 }, new Map());
  expect(consequence?.notice).toEqual({ code: 'CANNOT_PLAY' });
});
