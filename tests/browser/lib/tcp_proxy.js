// A TCP proxy on loopback before signaling, whose connections a test can cut.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { LOOPBACK, LOOPBACK_HOST } from './family.js';

export class TcpProxy {
  #server;
  #sockets = new Set();
  #isCut = false;
  url;

  /** A proxy to the server at this URL. */
  static async open(url) {
    const proxy = new TcpProxy();
    const { hostname, port } = new URL(url);
    proxy.#server = createServer((client) => {
      proxy.#keep(client);
      if (proxy.#isCut) {
        client.destroy();
        return;
      }
      const server = proxy.#keep(connect(Number(port), hostname.replace(/^\[|\]$/g, '')));
      client.pipe(server).pipe(client);
      client.on('close', () => server.destroy());
      server.on('close', () => client.destroy());
    });
    proxy.#server.listen(0, LOOPBACK);
    await once(proxy.#server, 'listening');
    proxy.url = `http://${LOOPBACK_HOST}:${proxy.#server.address().port}`;
    return proxy;
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // The other side ended in the middle: `close` follows.
    socket.on('error', () => undefined);
    return socket;
  }

  /** All connections end, and new ones are refused. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  async close() {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
