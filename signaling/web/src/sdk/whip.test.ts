import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { iceServersOf, restarted, WhipError, WhipSession } from './whip';

interface Received {
  line: string;
  headers: IncomingMessage['headers'];
  body: string;
}

type Reply = (response: ServerResponse) => void;

const ANSWER = [
  'v=0',
  'a=ice-lite',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:old',
  'a=ice-pwd:oldpassword',
  'a=candidate:1 1 udp 1 192.0.2.1 20000 typ host',
  'a=end-of-candidates',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:old',
  'a=ice-pwd:oldpassword',
  '',
].join('\r\n');

/** The parts of a connection that a session uses; Node.js has no WebRTC. */
class Connection {
  configuration: RTCConfiguration = { bundlePolicy: 'max-bundle' };
  localDescription: { sdp: string } | null = null;
  remoteDescription: { sdp: string } | null = null;
  closed = false;
  offers = 0;
  /** The ICE servers at the time of `setLocalDescription`, which begins to gather candidates. */
  gatheredWith: RTCIceServer[] | undefined;

  async createOffer() {
    this.offers += 1;
    return { sdp: `a=ice-ufrag:u${this.offers}\r\na=ice-pwd:p${this.offers}\r\n` };
  }
  getConfiguration() {
    return this.configuration;
  }
  setConfiguration(configuration: RTCConfiguration) {
    this.configuration = configuration;
  }
  async setLocalDescription(description: { sdp: string }) {
    this.gatheredWith = this.configuration.iceServers;
    this.localDescription = description;
  }
  async setRemoteDescription(description: { sdp: string }) {
    if (description.sdp === 'no answer') throw new Error('malformed');
    this.remoteDescription = description;
  }
  close() {
    this.closed = true;
  }
}

let server: Server;
let origin: string;
let received: Received[];
let replies: Reply[];

const created =
  (headers: Record<string, string> = {}, body = ANSWER): Reply =>
  (response) =>
    response.writeHead(201, { Location: '/whip/millpond/s1', 'Content-Type': 'application/sdp', ...headers }).end(body);
const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Reply =>
  (response) =>
    response.writeHead(code, headers).end(body);

beforeEach(async () => {
  [received, replies] = [[], []];
  server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    received.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
    (replies.shift() ?? status(500))(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => server.close());

async function opened(...next: Reply[]): Promise<{ session: WhipSession; connection: Connection }> {
  replies.push(...next);
  const connection = new Connection();
  const options = { url: `${origin}/whip/millpond`, token: 'a.b.c' };
  return { session: await WhipSession.open(connection as unknown as RTCPeerConnection, options), connection };
}

test('sends the offer with the token, and sets the answer', async () => {
  const { session, connection } = await opened(created());
  expect(received).toMatchObject([{ line: 'POST /whip/millpond', body: 'a=ice-ufrag:u1\r\na=ice-pwd:p1\r\n' }]);
  expect(received[0]?.headers).toMatchObject({ 'content-type': 'application/sdp', authorization: 'Bearer a.b.c' });
  expect(session.url.href).toBe(`${origin}/whip/millpond/s1`);
  expect(connection.remoteDescription?.sdp).toBe(ANSWER);
});

test('gathers candidates with the servers of the answer', async () => {
  const link =
    '<turn:192.0.2.1:3478?transport=udp>; rel="ice-server"; username="u"; credential="c"; credential-type="password", ' +
    '<stun:192.0.2.1:3478>; rel="ice-server", </whep/millpond/s1/layers>; rel="urn:ietf:params:whep:ext:core:layer"';
  const { connection } = await opened(created({ Link: link }));
  expect(connection.gatheredWith).toEqual([
    { urls: 'turn:192.0.2.1:3478?transport=udp', username: 'u', credential: 'c' },
    { urls: 'stun:192.0.2.1:3478', username: undefined, credential: undefined },
  ]);
  expect(connection.configuration.bundlePolicy).toBe('max-bundle');
  expect(iceServersOf(null)).toEqual([]);
});

test('a refusal has the status, the sentence and the pause of the server', async () => {
  const problem = JSON.stringify({ type: 'about:blank', title: 'Conflict', status: 409, detail: 'There is no publisher.' });
  const connection = new Connection();
  replies.push(status(409, { 'Content-Type': 'application/problem+json', 'Retry-After': '3' }, problem));
  const failed = WhipSession.open(connection as unknown as RTCPeerConnection, { url: `${origin}/whep/millpond` });
  await expect(failed).rejects.toMatchObject({ status: 409, message: 'There is no publisher.', retryAfterMs: 3_000 });
  expect(received[0]?.headers.authorization).toBeUndefined();
  expect(connection.closed).toBe(true);

  replies.push(status(502, {}, '<h1>Bad gateway</h1>'));
  const other = WhipSession.open(new Connection() as unknown as RTCPeerConnection, { url: `${origin}/whep/millpond` });
  await expect(other).rejects.toEqual(new WhipError(502, ''));
});

test('an answer that the browser refuses ends the session', async () => {
  await expect(opened(created({}, 'no answer'), status(200))).rejects.toThrow('malformed');
  expect(received.map(({ line }) => line)).toEqual(['POST /whip/millpond', 'DELETE /whip/millpond/s1']);
});

test('a restart sends new credentials, and sets those of the server', async () => {
  const { session, connection } = await opened(created());
  const fragment = 'a=ice-lite\r\na=ice-ufrag:new\r\na=ice-pwd:newpassword\r\na=candidate:2 1 udp 1 192.0.2.2 20000 typ host\r\n';
  replies.push(status(200, { ETag: '"2"' }, fragment));
  await session.restartIce();
  expect(received[1]).toMatchObject({ line: 'PATCH /whip/millpond/s1', body: 'a=ice-ufrag:u2\r\na=ice-pwd:p2\r\n' });
  expect(received[1]?.headers).toMatchObject({
    'content-type': 'application/trickle-ice-sdpfrag',
    'if-match': '*',
    authorization: 'Bearer a.b.c',
  });
  expect(connection.remoteDescription?.sdp.split('\r\n')).toEqual([
    'v=0',
    'a=ice-lite',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'c=IN IP4 0.0.0.0',
    'a=candidate:2 1 udp 1 192.0.2.2 20000 typ host',
    'a=ice-ufrag:new',
    'a=ice-pwd:newpassword',
    'm=video 9 UDP/TLS/RTP/SAVPF 96',
    'c=IN IP4 0.0.0.0',
    'a=ice-ufrag:new',
    'a=ice-pwd:newpassword',
    '',
  ]);
  expect(restarted(ANSWER, fragment)).toBe(connection.remoteDescription?.sdp);
});

test('closing ends the session at the server, also one that it has removed', async () => {
  const { session, connection } = await opened(created(), status(200));
  await session.close();
  expect(received[1]?.line).toBe('DELETE /whip/millpond/s1');
  expect(received[1]?.headers.authorization).toBe('Bearer a.b.c');
  expect(connection.closed).toBe(true);

  replies.push(status(404));
  await session.close();
  replies.push(status(503));
  await expect(session.close()).rejects.toMatchObject({ status: 503 });
});
