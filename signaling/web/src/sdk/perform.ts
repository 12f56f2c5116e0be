// Carries out one action of `sync.ts` on the media.

import type { EncodingPolicy } from './layers';
import type { Media } from './media';
import type { Action } from './sync';

/** No action is taken on an object that was closed after the comparison. Throws the request's error. */
export async function perform(action: Action, media: Media, policy: EncodingPolicy): Promise<void> {
  switch (action.do) {
    case 'restartIce':
      return media.restartIce(action.direction);
    case 'produce':
      return media.produce(action.local, policy, action.held, action.backup);
    case 'consume':
      return media.consume(action.producerId, action.peerId, action.source);
    case 'forgetConsumer':
      return media.forgetConsumer(action.producerId);
    case 'consumeData':
      return media.consumeData(action.dataProducerId, action.peerId);
    case 'forgetData':
      return media.forgetData(action.dataProducerId);
    case 'setLayers':
    case 'resumeConsumer':
    case 'pauseConsumer':
    case 'closeConsumer':
      return performOnConsumer(action, media);
    default:
      return performOnProducer(action, media);
  }
}

type OnConsumer = Extract<Action, { do: 'setLayers' | 'resumeConsumer' | 'pauseConsumer' | 'closeConsumer' }>;

async function performOnConsumer(action: OnConsumer, media: Media): Promise<void> {
  const incoming = media.incoming.get(action.producerId);
  if (!incoming) return;
  switch (action.do) {
    case 'setLayers':
      return media.setPreferredLayers(incoming, action.layers);
    case 'resumeConsumer':
    case 'pauseConsumer':
      return media.pauseConsumer(incoming, action.do === 'pauseConsumer');
    case 'closeConsumer':
      return media.closeConsumer(action.producerId);
  }
}

type OnProducer = Extract<
  Action,
  { do: 'setSubscribers' | 'sendWanted' | 'replaceTrack' | 'mute' | 'pauseProducer' | 'closeProducer' }
>;

async function performOnProducer(action: OnProducer, media: Media): Promise<void> {
  const outgoing = media.outgoing.get(action.key);
  if (!outgoing) return;
  switch (action.do) {
    case 'setSubscribers':
      return media.setSubscribers(outgoing, action.subscribers);
    case 'sendWanted':
      return media.sendWanted(outgoing);
    case 'replaceTrack':
      return outgoing.producer.replaceTrack({ track: action.track });
    case 'mute':
      return action.muted ? outgoing.producer.pause() : outgoing.producer.resume();
    case 'pauseProducer':
      return media.pauseProducer(outgoing, action.paused);
    case 'closeProducer':
      return media.closeProducer(outgoing);
  }
}
