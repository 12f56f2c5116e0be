// A client of the signal protocol that is no browser: what a program that records or plays into rooms would be.

import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './leat.js';
import { PATIENCE_MS, until } from './wait.js';

const WEB = join(ROOT, 'signaling/web');
// The libraries of the web app: the protocol is the same.
const require = createRequire(join(WEB, 'package.json'));
const { create, createFileRegistry, fromBinary, toBinary } = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');
const { io } = require('socket.io-client');

const described = execFileSync(join(WEB, 'node_modules/.bin/buf'), [
  'build',
  join(ROOT, 'signaling/proto'),
  '-o',
  '-#format=binpb',
]);
const SignalSchema = createFileRegistry(fromBinary(FileDescriptorSetSchema, described)).getMessage('leat.signal.v1.Signal');

export class SignalClient {
  #socket;
  /** `{case, value}` of every notification so far. */
  heard = [];

  /** Connects and joins. */
  static async join(url, room, displayName, token = '') {
    const client = new SignalClient();
    client.#socket = io(url, { forceNew: true, transports: ['websocket'] });
    client.#socket.on('signal', (bytes) => client.#hear(new Uint8Array(bytes)));
    await until('the socket is up', () => client.#socket.connected);
    const joined = await client.ask('joinRoom', { room, displayName, token }, 'joined');
    client.peers = joined.peers;
    return client;
  }

  #hear(bytes) {
    const { payload } = fromBinary(SignalSchema, bytes);
    if (payload.case !== 'batch') this.heard.push(payload);
    else for (const signal of payload.value.signals) this.#hear(signal);
  }

  /** What the answer says; another one than the named is an error. */
  async ask(request, value, answer = 'ack') {
    const signal = create(SignalSchema, { version: '1', payload: { case: request, value } });
    const bytes = await this.#socket.timeout(PATIENCE_MS).emitWithAck('signal', toBinary(SignalSchema, signal));
    const { payload } = fromBinary(SignalSchema, new Uint8Array(bytes));
    if (payload.case !== answer) throw new Error(`${request} was answered with ${payload.case}: ${payload.value.message ?? ''}`);
    return payload.value;
  }

  close() {
    this.#socket.disconnect();
  }
}
