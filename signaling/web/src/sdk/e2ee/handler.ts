// A handler of mediasoup-client for Chromium that keeps the dependency descriptor in the answers to its own offers.
// mediasoup-client removes it for codecs in which mediasoup does not read it. Without it the engine cannot know the layers
// of an encrypted frame.

import type { types } from 'mediasoup-client';
import { Device, detectDevice } from 'mediasoup-client';
import { Chrome111 } from 'mediasoup-client/handlers/Chrome111';

const DESCRIPTOR = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

interface Extmap {
  value: number;
  uri: string;
}

/** The parts of mediasoup-client's description of the remote end that are used here; they are private there. */
interface RemoteDescription {
  send(options: SendOptions): void;
  readonly _mediaSections: readonly { readonly mid: string; getObject(): { ext?: Extmap[] } }[];
}

interface SendOptions {
  offerMediaObject: { mid?: string | number; ext?: Extmap[] };
  answerRtpParameters: types.RtpParameters;
}

/** Changes this one handler, not its class: another call on the page is not affected. */
function withDescriptor(handler: types.HandlerInterface): types.HandlerInterface {
  const remote = (handler as unknown as { _remoteSdp: RemoteDescription })._remoteSdp;
  const send = remote.send.bind(remote);
  remote.send = (options) => {
    send(options);
    keepDescriptor(remote, options);
  };
  return handler;
}

/** If the offer has the descriptor and the server accepts it, the answer has it. */
function keepDescriptor(remote: RemoteDescription, { offerMediaObject, answerRtpParameters }: SendOptions): void {
  const isDescriptor = ({ uri }: { uri: string }) => uri === DESCRIPTOR;
  const offered = offerMediaObject.ext?.find(isDescriptor);
  const accepted = answerRtpParameters.headerExtensions?.find(isDescriptor);
  const section = remote._mediaSections.find(({ mid }) => mid === String(offerMediaObject.mid))?.getObject();
  if (!offered || !accepted || !section || section.ext?.some(isDescriptor)) return;
  section.ext = [...(section.ext ?? []), { uri: accepted.uri, value: accepted.id }];
}

/** A device for a call with encryption. */
export async function encryptingDevice(): Promise<Device> {
  if (detectDevice() !== 'Chrome111') return Device.factory();
  const chrome = Chrome111.createFactory();
  return new Device({ handlerFactory: { ...chrome, factory: (options) => withDescriptor(chrome.factory(options)) } });
}
