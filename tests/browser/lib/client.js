// A client of the signal protocol without a browser, like a program that records or plays into rooms.

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
/** The message `Signal` of signal.proto. */
const SignalSchema = createFileRegistry(fromBinary(FileDescriptorSetSchema, described)).getMessage('leat.signal.v1.Signal');

/** The payloads of a message, `{case, value}`: those of a `Batch`, or one. */
export function payloadsOf(bytes) {
  const { payload } = fromBinary(SignalSchema, new Uint8Array(bytes));
  return payload.case === 'batch' ? payload.value.signals.flatMap(payloadsOf) : [payload];
}

export class SignalClient {
  #socket;
  /** `{case, value}` of every notification so far. */
  notifications = [];

  /** Connects and joins. */
  static async join(url, room, displayName, token = '') {
    const client = new SignalClient();
    client.#socket = io(url, { forceNew: true, transports: ['websocket'] });
    client.#socket.on('signal', (bytes) => client.#receive(new Uint8Array(bytes)));
    try {
      await until('the socket is up', () => client.#socket.connected);
      const joined = await client.request('joinRoom', { room, displayName, token }, 'joined');
      client.peers = joined.peers;
      return client;
    } catch (error) {
      // A socket that connects again and again would keep the test process from ending.
      client.close();
      throw error;
    }
  }

  #receive(bytes) {
    this.notifications.push(...payloadsOf(bytes));
  }

  /** Sends a request and returns its answer; an answer of another kind is an error. */
  async request(name, value, answer = 'ack') {
    const signal = create(SignalSchema, { version: '1', payload: { case: name, value } });
    const bytes = await this.#socket.timeout(PATIENCE_MS).emitWithAck('signal', toBinary(SignalSchema, signal));
    const { payload } = fromBinary(SignalSchema, new Uint8Array(bytes));
    if (payload.case !== answer) throw new Error(`${name} was answered with ${payload.case}: ${payload.value.message ?? ''}`);
    return payload.value;
  }

  close() {
    this.#socket.disconnect();
  }
}
