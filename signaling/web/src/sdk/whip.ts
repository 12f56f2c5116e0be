// Publishes by WHIP (RFC 9725) and plays by WHEP, without the signal protocol: one HTTP request has the offer,
// and its answer has the rest. The server sends all its candidates in the answer and learns those of the
// client from connectivity checks, so the client sends none.

import { WebRTCError, type WebRTCErrorCode } from './webrtc_error';

/** The settings of `publishByWhip` and `playByWhep`. */
export interface WhipOptions {
  /** The endpoint: `https://leat.example.org/whip/millpond`, or `/whep/millpond` of the page's own server. */
  url: string | URL;
  /** A token of the room, or for publishing a stream key. In development mode none is needed. */
  token?: string;
}

/** The server refused a request and gave a reason. */
export class WhipError extends WebRTCError {
  override name = 'WhipError';
  readonly status: number;
  /** The pause that the server gives; 0 when it gives none. */
  readonly retryAfterMs: number;

  constructor(status: number, detail: string, retryAfterMs = 0) {
    super(codeOfStatus(status), detail || `The server refused the request (status ${status}).`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

function codeOfStatus(status: number): WebRTCErrorCode {
  if (status >= 500) return 'SERVER_UNAVAILABLE';
  const codes: Partial<Record<number, WebRTCErrorCode>> = {
    400: 'SDP_NEGOTIATION',
    401: 'TOKEN_REFUSED',
    403: 'PERMISSION_DENIED',
    404: 'NOT_FOUND',
    415: 'SDP_NEGOTIATION',
    422: 'SDP_NEGOTIATION',
    429: 'LIMIT',
  };
  return codes[status] ?? 'BAD_REQUEST';
}

/** Sends these tracks. `codec` is the only one of the video, for example `video/VP8`; without it the server selects. */
export function publishByWhip(
  tracks: readonly MediaStreamTrack[],
  options: WhipOptions & { codec?: string },
): Promise<WhipSession> {
  const connection = new RTCPeerConnection();
  const streams = [new MediaStream([...tracks])];
  for (const track of tracks) {
    const transceiver = connection.addTransceiver(track, { direction: 'sendonly', streams });
    if (options.codec && track.kind === 'video') transceiver.setCodecPreferences(only(options.codec));
  }
  return WhipSession.open(connection, options);
}

/** Receives one track for each of these kinds. `onTrack` is called for each of them before media arrives. */
export function playByWhep(
  kinds: readonly ('audio' | 'video')[],
  options: WhipOptions & { onTrack: (track: MediaStreamTrack) => void },
): Promise<WhipSession> {
  const connection = new RTCPeerConnection();
  connection.addEventListener('track', ({ track }) => options.onTrack(track));
  for (const kind of kinds) connection.addTransceiver(kind, { direction: 'recvonly' });
  return WhipSession.open(connection, options);
}

/** A session of WHIP or WHEP. */
export class WhipSession {
  readonly connection: RTCPeerConnection;
  /** The server's object of this session. */
  readonly url: URL;
  readonly #headers: Record<string, string>;

  private constructor(connection: RTCPeerConnection, url: URL, headers: Record<string, string>) {
    this.connection = connection;
    this.url = url;
    this.#headers = headers;
  }

  /** Makes a session for a connection that has its transceivers. If it fails, the connection is closed. */
  static async open(connection: RTCPeerConnection, { url, token }: WhipOptions): Promise<WhipSession> {
    const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
    try {
      const offer = await connection.createOffer();
      const response = await send(url, { method: 'POST', headers: { ...headers, 'Content-Type': SDP }, body: offer.sdp });
      const session = new WhipSession(connection, new URL(response.headers.get('Location') ?? '', response.url), headers);
      try {
        const iceServers = iceServersOf(response.headers.get('Link'));
        if (iceServers.length > 0) connection.setConfiguration({ ...connection.getConfiguration(), iceServers });
        // Only now: the browser gathers candidates with these servers.
        await connection.setLocalDescription(offer);
        await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
      } catch (error) {
        await session.close().catch(() => undefined);
        throw error;
      }
      return session;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Finds another path to the server after the connection has failed, for example in another network. */
  async restartIce(): Promise<void> {
    const { connection } = this;
    const before = connection.remoteDescription?.sdp ?? '';
    await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
    const response = await send(this.url, {
      method: 'PATCH',
      headers: { ...this.#headers, 'Content-Type': FRAGMENT, 'If-Match': '*' },
      body: credentialsOf(connection.localDescription?.sdp ?? ''),
    });
    await connection.setRemoteDescription({ type: 'answer', sdp: restarted(before, await response.text()) });
  }

  /** Closes the connection and ends the session at the server. A session that has ended already is no error. */
  async close(): Promise<void> {
    this.connection.close();
    // `keepalive`: the request is sent even when the page closes.
    const ended = send(this.url, { method: 'DELETE', headers: this.#headers, keepalive: true });
    await ended.catch((error) => {
      if (!(error instanceof WhipError && error.status === 404)) throw error;
    });
  }
}

const SDP = 'application/sdp';
const FRAGMENT = 'application/trickle-ice-sdpfrag';

async function send(url: string | URL, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request);
  if (response.ok) return response;
  // RFC 9457. A proxy may answer with another type.
  const problem: unknown = await response.json().catch(() => null);
  const detail = problem !== null && typeof problem === 'object' && 'detail' in problem ? String(problem.detail) : '';
  throw new WhipError(response.status, detail, 1_000 * (Number(response.headers.get('Retry-After')) || 0));
}

/** This codec, and what repairs its losses. */
function only(codec: string): RTCRtpCodec[] {
  const all = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  return all.filter(({ mimeType }) => ['video/rtx', codec.toLowerCase()].includes(mimeType.toLowerCase()));
}

/** The STUN and TURN servers of a Link header (RFC 9725 §4.6). */
export function iceServersOf(header: string | null): RTCIceServer[] {
  return [...(header ?? '').matchAll(/<([^>]*)>([^<]*)/g)].flatMap(([, urls = '', rest = '']) => {
    const value = (name: string) => new RegExp(`;\\s*${name}="?([^";,]*)"?`).exec(rest)?.[1];
    if (value('rel') !== 'ice-server') return [];
    return [{ urls, username: value('username'), credential: value('credential') }];
  });
}

/** The fragment that starts a restart: the new credentials of the client. */
function credentialsOf(sdp: string): string {
  return ['ice-ufrag', 'ice-pwd'].map((name) => `a=${name}:${attribute(sdp, name)}\r\n`).join('');
}

/** The answer after a restart: the earlier one with the credentials and candidates of the server's fragment. */
export function restarted(answer: string, fragment: string): string {
  const candidates = [...fragment.matchAll(/^a=candidate:.*$/gm)].map(([line]) => `${line.trim()}\r\n`).join('');
  return (
    answer
      .replaceAll(/^a=(candidate:.*|end-of-candidates)\r?\n/gm, '')
      .replaceAll(/^a=(ice-ufrag|ice-pwd):.*\r?\n/gm, (_, name: string) => `a=${name}:${attribute(fragment, name)}\r\n`)
      // All sections are bundled: the candidates of the first one count.
      .replace(/^m=.*\r?\n(c=.*\r?\n)?/m, (section) => section + candidates)
  );
}

function attribute(sdp: string, name: string): string {
  return new RegExp(`^a=${name}:(.*?)\\r?$`, 'm').exec(sdp)?.[1] ?? '';
}
