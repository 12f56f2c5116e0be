// The consequence of a refusal by the server for the object of the request. Pure.

import { ErrorCode } from '../gen/signal_pb';
import type { SignalError } from './errors';
import type { CallNotice } from './notice';
import { ownerOf, type Roster } from './roster';
import type { Action } from './sync';

export interface Consequence {
  /** Producer id: the producer no longer exists. */
  removeSource?: string;
  /** Data producer id: the data producer no longer exists. */
  removeChannel?: string;
  /** Id of a producer or data producer: not to be requested again. */
  unplayable?: string;
  /** Producer id: the consumer no longer exists. */
  forgetConsumer?: string;
  /** Key of a producer of this client that no longer exists. */
  forgetProducer?: string;
  /**
   * Key of a backup that the server does not accept. The first codec is still sent: its receivers must not
   * lose it.
   */
  dropBackup?: string;
  /** Name of a local source that the server does not accept. */
  stopSource?: string;
  /** Name of a local source that the server keeps paused. */
  pauseSource?: string;
  notice?: CallNotice;
  /** The notice applies to the whole call: the user reads it once. */
  noticeOnce?: boolean;
}

/** Null: the refusal is temporary, and the action is to be tried again. */
export function consequenceOf(
  action: Action,
  { errorCode: code, retryAfterMs }: Pick<SignalError, 'errorCode' | 'retryAfterMs'>,
  roster: Roster,
): Consequence | null {
  // With any code: too many messages, no engine, or a codec that the server has requested from the sender.
  if (retryAfterMs > 0) return null;
  switch (action.do) {
    case 'consume':
    case 'setLayers':
    case 'resumeConsumer':
    case 'pauseConsumer':
      return ofSource(action.producerId, code, roster);
    case 'consumeData':
      return ofChannel(action.dataProducerId, code);
    case 'produce':
      return ofLocal(action.local.source, action.key, code);
    case 'setSubscribers':
      return ofSubscribers(action.source, action.key, code);
    case 'pauseProducer':
      return ofLocal(action.source, action.key, code);
    default:
      return null;
  }
}

function ofSource(producerId: string, code: ErrorCode, roster: Roster): Consequence | null {
  switch (code) {
    case ErrorCode.NO_SUCH_PRODUCER:
      return { removeSource: producerId };
    case ErrorCode.NO_SUCH_CONSUMER:
      return { forgetConsumer: producerId };
    case ErrorCode.CANNOT_CONSUME: {
      const owner = ownerOf(roster, producerId);
      const source = owner?.sources.get(producerId)?.source;
      const notice: CallNotice = { code: 'CANNOT_PLAY', source, name: owner?.name };
      return { unplayable: producerId, notice };
    }
    case ErrorCode.SUBSCRIPTION_DENIED:
      return { unplayable: producerId, forgetConsumer: producerId };
    case ErrorCode.TOKEN_PERMISSION: {
      const notice: CallNotice = { code: 'MAY_NOT_RECEIVE' };
      return { unplayable: producerId, forgetConsumer: producerId, notice, noticeOnce: true };
    }
    default:
      return null;
  }
}

/** A data producer that the engine does not forward cannot be received, now or later. */
function ofChannel(dataProducerId: string, code: ErrorCode): Consequence | null {
  switch (code) {
    case ErrorCode.NO_SUCH_PRODUCER:
      return { removeChannel: dataProducerId };
    case ErrorCode.ENGINE_REFUSED:
    case ErrorCode.LIMIT: {
      const notice: CallNotice = { code: 'CHANNELS_UNAVAILABLE' };
      return { unplayable: dataProducerId, notice, noticeOnce: true };
    }
    case ErrorCode.TOKEN_PERMISSION:
      return { unplayable: dataProducerId };
    default:
      return null;
  }
}

/** Without its list of users, the source would go to everyone. */
function ofSubscribers(source: string, key: string, code: ErrorCode): Consequence | null {
  switch (code) {
    case ErrorCode.NO_SUCH_PRODUCER:
      return { forgetProducer: key };
    case ErrorCode.BAD_MESSAGE:
    case ErrorCode.LIMIT:
      return { stopSource: source, notice: { code: 'SUBSCRIBERS_REFUSED', source } };
    default:
      return null;
  }
}

function ofLocal(source: string, key: string, code: ErrorCode): Consequence | null {
  if (key !== source) return { dropBackup: key };
  switch (code) {
    case ErrorCode.NO_SUCH_PRODUCER:
      return { forgetProducer: key };
    case ErrorCode.MUTED:
      return { pauseSource: source, notice: { code: 'MUTED', source } };
    case ErrorCode.PUBLISH_DENIED:
      return { stopSource: source, notice: { code: 'ONLY_ADMINISTRATORS_SEND', source } };
    case ErrorCode.TOKEN_PERMISSION:
      return { stopSource: source, notice: { code: 'MAY_NOT_SEND', source } };
    case ErrorCode.UNSUPPORTED_CODEC:
    case ErrorCode.LIMIT:
      return { stopSource: source, notice: { code: 'SOURCE_REFUSED', source } };
    default:
      return null;
  }
}
