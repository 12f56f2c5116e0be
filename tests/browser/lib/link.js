// An emulated access link: a UDP relay before the engine's ports, with limited bandwidth towards the client
// and unlimited bandwidth towards the engine. All relayed ports share the link. Only its queue delays and
// drops datagrams.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { IS_IPV6, LOOPBACK } from './family.js';

/** Length of the IP and UDP headers, which a real link carries as well. */
const HEADER_BYTES = IS_IPV6 ? 48 : 28;
const BITS = 8;

export class Link {
  #sockets = [];
  /** The relay's port for each port of the engine. */
  ports = {};
  #bytesPerMs;
  #queueBytesMax;
  /** Queued datagrams to the client, each with the time at which its last bit arrives. */
  #queue = [];
  #queuedBytes = 0;
  #freeAt = 0;
  #timer = null;
  #closed = false;
  #isCut = false;
  /** Towards the client. */
  carried = { datagrams: 0, bytes: 0 };
  dropped = 0;

  /**
   * A link to these ports of the engine. Its queue is as long as the link sends in `queueMs`; datagrams that
   * arrive while it is full are dropped.
   */
  static async open(enginePorts, { bitsPerSecond, queueMs }) {
    const link = new Link();
    link.#bytesPerMs = bitsPerSecond / BITS / 1_000;
    link.#queueBytesMax = link.#bytesPerMs * queueMs;
    for (const port of enginePorts) link.ports[port] = await link.#relay(port);
    return link;
  }

  async #relay(enginePort) {
    const downstream = this.#socket();
    /** By the client's port: the engine distinguishes clients by their address. */
    const upstreams = new Map();
    downstream.on('message', (datagram, client) => {
      if (this.#isCut) return;
      let upstream = upstreams.get(client.port);
      if (!upstream) {
        upstream = this.#socket();
        upstream.on('message', (answer) => this.#enqueue(answer, downstream, client));
        upstreams.set(client.port, upstream);
      }
      upstream.send(datagram, enginePort, LOOPBACK);
    });
    downstream.bind(0, LOOPBACK);
    await once(downstream, 'listening');
    return downstream.address().port;
  }

  #socket() {
    const socket = createSocket(IS_IPV6 ? 'udp6' : 'udp4');
    // The engine may be gone before the client: then the link drops the datagrams.
    socket.on('error', () => {});
    this.#sockets.push(socket);
    return socket;
  }

  #enqueue(datagram, socket, client) {
    const bytes = datagram.length + HEADER_BYTES;
    if (this.#closed || this.#isCut) return;
    if (this.#queuedBytes + bytes > this.#queueBytesMax) {
      this.dropped += 1;
      return;
    }
    this.#freeAt = Math.max(this.#freeAt, performance.now()) + bytes / this.#bytesPerMs;
    this.#queue.push({ datagram, socket, client, bytes, at: this.#freeAt });
    this.#queuedBytes += bytes;
    this.#timer ??= setTimeout(() => this.#deliver(), this.#queue[0].at - performance.now());
  }

  #deliver() {
    this.#timer = null;
    while (this.#queue[0]?.at <= performance.now()) {
      const { datagram, socket, client, bytes } = this.#queue.shift();
      this.#queuedBytes -= bytes;
      this.carried.datagrams += 1;
      this.carried.bytes += bytes;
      socket.send(datagram, client.port, client.address);
    }
    if (this.#queue.length > 0) this.#timer = setTimeout(() => this.#deliver(), this.#queue[0].at - performance.now());
  }

  /** No datagram passes in either direction, and those in the queue are lost. */
  cut() {
    this.#isCut = true;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  mend() {
    this.#isCut = false;
  }

  async close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#sockets.map((socket) => new Promise((done) => socket.close(done))));
  }
}

/**
 * Runs in the page, before the app: keeps only the engine's candidates that the link relays, with the link's
 * ports, so that no path avoids the link. `exceptRelay`: a connection with the policy `relay` reaches the engine past the
 * link.
 */
export function behindLink({ ports, host, exceptRelay = false }) {
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  const CANDIDATE = /^a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) (.*)$/;
  const throughLink = (line) => {
    const match = CANDIDATE.exec(line);
    if (!match) return [line];
    const [, foundation, component, protocol, priority, address, port, rest] = match;
    if (protocol.toLowerCase() !== 'udp' || address !== host || !(port in ports)) return [];
    return [`a=candidate:${foundation} ${component} ${protocol} ${priority} ${address} ${ports[port]} ${rest}`];
  };
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    if (exceptRelay && this.getConfiguration().iceTransportPolicy === 'relay') {
      return setRemoteDescription.call(this, { type, sdp });
    }
    return setRemoteDescription.call(this, { type, sdp: sdp.split('\r\n').flatMap(throughLink).join('\r\n') });
  };
}
