// The last word of a page that goes away. The browser sends a beacon also when the page is gone, on another way than the socket: what is still in a
// closing page's socket is often thrown away.

import { create, toBinary } from '@bufbuild/protobuf';
import { GoodbyeSchema } from '../gen/signal_pb';

const PATH = '/leave';

/** `url` is the server's origin; undefined means the page's own. Where there are no beacons, the server finds out by itself after a while. */
export function sendLeaveBeacon(url: string | undefined, peerId: string, secret: Uint8Array): void {
  const goodbye = toBinary(GoodbyeSchema, create(GoodbyeSchema, { peerId, secret }));
  // Bytes, without a content type: so it needs no leave beforehand (CORS) from a server of another origin.
  globalThis.navigator?.sendBeacon?.(new URL(PATH, url ?? location.origin), goodbye);
}
