// The access network of one participant: signaling over a TCP proxy, media over an emulated link. A test cuts one of
// them or both.

import { LOOPBACK } from './family.js';
import { behindLink, Link } from './link.js';
import { TcpProxy } from './tcp_proxy.js';

export class AccessNetwork {
  #signaling;
  #media;
  /** Where the participant finds the server. */
  url;

  static async open(leat, link) {
    const network = new AccessNetwork();
    network.#media = await Link.open(leat.rtcPorts, link);
    network.#signaling = await TcpProxy.open(leat.url);
    network.url = network.#signaling.url;
    return network;
  }

  /** For `Peer.open`, in `before`. `exceptRelay`: a relay is reached past the link. */
  script(exceptRelay = false) {
    return [behindLink, { ports: this.#media.ports, host: LOOPBACK, exceptRelay }];
  }

  /** `parts`: `signaling`, `media` or both. */
  cut(parts) {
    for (const part of this.#of(parts)) part.cut();
  }

  mend(parts) {
    for (const part of this.#of(parts)) part.mend();
  }

  #of(parts) {
    const all = { signaling: this.#signaling, media: this.#media };
    return parts.map((part) => all[part]);
  }

  async close() {
    await this.#media.close();
    await this.#signaling.close();
  }
}
