import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest';
import { ErrorCode } from '../gen/signal_pb';
import { SignalChannel } from './channel';
import { SignalError, SocketLost } from './errors';
import { PeerConnection } from './peer_connection';
import { FakeServer, refusal } from './testing';
import type { WebRTCError } from './webrtc_error';

const SOON = { timeout: 30_000, interval: 5 };

/** The parts of a connection that are used; Node.js has no WebRTC. `calls` are those that change the connection. */
class Connection extends EventTarget {
  readonly calls: string[] = [];
  connectionState = 'new';
  localDescription: { sdp: string } | null = null;
  refuses = '';

  async #call(name: string, what: unknown): Promise<void> {
    this.calls.push(`${name} ${what}`);
    // The browser answers later.
    await new Promise((done) => setTimeout(done));
    if (this.refuses === name) throw new DOMException(`${name} refused`, 'OperationError');
  }

  async createOffer() {
    await this.#call('createOffer', '');
    return { type: 'offer', sdp: 'own offer' };
  }
  async createAnswer() {
    return { type: 'answer', sdp: 'own answer' };
  }
  async setLocalDescription({ type, sdp }: RTCSessionDescription) {
    await this.#call('local', type);
    this.localDescription = { sdp: `${sdp} with candidates` };
  }
  async setRemoteDescription({ type, sdp }: RTCSessionDescription) {
    await this.#call('remote', `${type}: ${sdp}`);
  }
  async addIceCandidate({ candidate }: RTCIceCandidate) {
    await this.#call('candidate', candidate);
  }
  createDataChannel(label: string) {
    if (this.refuses === 'createDataChannel') throw new DOMException('no more streams', 'OperationError');
    return { label };
  }
  close() {
    this.calls.push('close');
  }
}

let server: FakeServer;
let channel: SignalChannel;
let connection: Connection;
let peer: PeerConnection;
let errors: WebRTCError[];

beforeEach(async () => {
  vi.stubGlobal(
    'RTCSessionDescription',
    class {
      constructor(init: object) {
        Object.assign(this, init);
      }
    },
  );
  server = new FakeServer();
  server.instead.offer = () => ({ case: 'answer', value: { sdp: 'the answer' } });
  channel = new SignalChannel(await server.listen(), { onNotification: (payload) => peer.receive(payload) }, 1_000).open();
  connection = new Connection();
  peer = new PeerConnection(channel, connection as unknown as RTCPeerConnection);
  errors = [];
  peer.addEventListener('error', ({ error }) => errors.push(error));
  await vi.waitFor(() => expect(channel.up).toBe(true), SOON);
});

afterEach(async () => {
  channel.close();
  await server.close();
});

const errorCodes = () => errors.map(({ code }) => code);
const answers = () => server.asked.flatMap((payload) => (payload.case === 'answer' ? [payload.value.sdp] : []));
const candidate = { candidate: 'candidate:1' } as RTCIceCandidate;
const failed = (code: string) => vi.waitFor(() => expect(errorCodes()).toEqual([code]), SOON);
const applied = (...calls: string[]) => vi.waitFor(() => expect(connection.calls).toEqual(calls), SOON);

test('has the methods of the requirement', () => {
  interface Required {
    createOffer(): Promise<RTCSessionDescription>;
    setLocalDescription(desc: RTCSessionDescription): void;
    addIceCandidate(candidate: RTCIceCandidate): void;
    createDataChannel(label: string): RTCDataChannel;
    close(): void;
  }
  expectTypeOf<Pick<PeerConnection, keyof Required>>().toEqualTypeOf<Required>();
});

test('an offer goes to the server, and its answer is applied', async () => {
  const offer = await peer.createOffer();
  expect(offer).toBeInstanceOf(RTCSessionDescription);
  expect(peer.setLocalDescription(offer)).toBe(undefined);
  await applied('createOffer ', 'local offer', 'remote answer: the answer');
  expect(server.last('offer').sdp).toBe('own offer with candidates');
  expect(errors).toEqual([]);
});

test('calls take effect in their order', async () => {
  const offer = await peer.createOffer();
  peer.setLocalDescription(offer);
  peer.addIceCandidate(candidate);
  await applied('createOffer ', 'local offer', 'remote answer: the answer', 'candidate candidate:1');
});

describe('an offer of the server', () => {
  test('is applied and answered', async () => {
    server.tell({ case: 'offer', value: { sdp: 'tracks' } });
    await vi.waitFor(() => expect(answers()).toEqual(['own answer with candidates']), SOON);
    expect(connection.calls).toEqual(['remote offer: tracks', 'local answer']);
  });

  test('is ignored while an own offer waits for its answer', async () => {
    server.instead.offer = () => {
      server.tell({ case: 'offer', value: { sdp: 'void' } });
      return { case: 'answer', value: { sdp: 'the answer' } };
    };
    peer.setLocalDescription(await peer.createOffer());
    await applied('createOffer ', 'local offer', 'remote answer: the answer');
    server.tell({ case: 'offer', value: { sdp: 'next' } });
    await vi.waitFor(() => expect(answers()).toHaveLength(1), SOON);
    expect(connection.calls.slice(3)).toEqual(['remote offer: next', 'local answer']);
  });

  test('that the browser refuses is an error event', async () => {
    connection.refuses = 'remote';
    server.tell({ case: 'offer', value: { sdp: 'tracks' } });
    await failed('SDP_NEGOTIATION');
    expect(answers()).toEqual([]);
  });
});

describe('an error event', () => {
  test('has the refusal of the server', async () => {
    server.instead.offer = () => refusal(ErrorCode.BAD_MESSAGE, 'the section 0 has no fingerprint');
    peer.setLocalDescription(await peer.createOffer());
    await failed('SDP_NEGOTIATION');
    expect(errors[0]?.message).toBe('the section 0 has no fingerprint');
    expect(errors[0]?.cause).toBeInstanceOf(SignalError);
    // The next offer replaces the refused one.
    server.instead.offer = () => ({ case: 'answer', value: { sdp: 'the answer' } });
    peer.setLocalDescription(await peer.createOffer());
    await vi.waitFor(() => expect(connection.calls.at(-1)).toBe('remote answer: the answer'), SOON);
  });

  test('has the refusal of the browser', async () => {
    connection.refuses = 'candidate';
    peer.addIceCandidate(candidate);
    await failed('SDP_NEGOTIATION');
    expect(errors[0]?.message).toBe('candidate refused');
  });

  test('says that the channel is lost', async () => {
    server.instead.offer = () => null;
    peer.setLocalDescription(await peer.createOffer());
    await failed('SIGNALING_LOST');
    expect(errors[0]).toBeInstanceOf(SocketLost);
  });

  test('says that ICE has failed', async () => {
    connection.connectionState = 'failed';
    connection.dispatchEvent(new Event('connectionstatechange'));
    await failed('ICE_FAILURE');
  });
});

test('an offer that the browser cannot make rejects', async () => {
  connection.refuses = 'createOffer';
  await expect(peer.createOffer()).rejects.toMatchObject({ code: 'SDP_NEGOTIATION', message: 'createOffer refused' });
  expect(errors).toEqual([]);
});

test('a data channel is that of the browser', () => {
  expect(peer.createDataChannel('chat').label).toBe('chat');
  connection.refuses = 'createDataChannel';
  expect(() => peer.createDataChannel('chat')).toThrow(expect.objectContaining({ code: 'DATA_CHANNEL' }));
});

test('a closed connection does nothing more', async () => {
  const offer = await peer.createOffer();
  peer.close();
  expect(connection.calls).toEqual(['createOffer ', 'close']);
  peer.setLocalDescription(offer);
  await failed('CLOSED');
  await expect(peer.createOffer()).rejects.toMatchObject({ code: 'CLOSED' });
  expect(() => peer.createDataChannel('chat')).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  expect(server.count('offer')).toBe(0);
});
