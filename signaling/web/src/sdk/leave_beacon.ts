// Notifies the server that the page is closing. The browser sends a beacon even when the page is gone, and on
// another connection than the socket: messages that a closing page writes to its socket are often lost.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { GoodbyeSchema } from '../gen/signal_pb';

const PATH = '/leave';

/**
 * `url` is the server's origin; undefined means the page's own. In a browser without beacons, the server
 * removes the client after a timeout.
 */
export function sendLeaveBeacon(url: string | undefined, goodbye: MessageInitShape<typeof GoodbyeSchema>): void {
  const message = toBinary(GoodbyeSchema, create(GoodbyeSchema, goodbye));
  // Bytes without a content type: a server of another origin gets no CORS preflight request.
  globalThis.navigator?.sendBeacon?.(url === undefined ? PATH : new URL(PATH, url), message);
}
