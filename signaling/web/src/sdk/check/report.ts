// What a connection check checks, its results, and what they mean together. Pure.

import type { IceServer } from '../../gen/signal_pb';
import type { DeviceFailure } from '../device_error';

/** All checks of the connection check, in their order. */
export const checkNames = ['signaling', 'room', 'udp', 'tcp', 'turnUdp', 'turnTcp', 'turnTls', 'microphone', 'camera'] as const;
/** The name of one check of the connection check. */
export type CheckName = (typeof checkNames)[number];

/** The checks of a media path: directly to the engine, and by a TURN server. */
export const pathNames = ['udp', 'tcp', 'turnUdp', 'turnTcp', 'turnTls'] as const;
export type PathName = (typeof pathNames)[number];

/** Why a check did not pass. */
export type CheckReason =
  /** The server does not answer. */
  | 'unreachable'
  /** HTTP works, and a WebSocket does not. */
  | 'noWebSocket'
  /** The server demands another token. */
  | 'token'
  /** The server refuses the join for another reason. */
  | 'refused'
  /** An administrator has to admit this client, so that media cannot be checked. */
  | 'waitingRoom'
  /** The server has no media engine now. */
  | 'noEngine'
  /** The server has no address or no TURN server of this kind. */
  | 'notOffered'
  /** No packet comes back from the address. */
  | 'noPath'
  /** The TURN server does not answer. */
  | 'noTurn'
  /** The TURN server does not accept the credentials. */
  | 'turnCredentials'
  /** The TURN server answers, and the engine is not reached through it. */
  | 'noPathFromTurn'
  /** An earlier check failed, and this one needs it. */
  | 'notChecked'
  /** The device delivers nothing: it is switched off at the device or in the system. */
  | 'muted'
  | DeviceFailure;

/** The result of one check. */
export interface CheckResult {
  readonly name: CheckName;
  readonly status: 'waiting' | 'running' | 'ok' | 'warning' | 'failed' | 'skipped';
  readonly reason: CheckReason | null;
  /** For experts: an error code, an address, the name of a device. */
  readonly detail: string;
  readonly roundTripMs: number | null;
}

/** The results of a connection check. */
export interface CheckReport {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly results: readonly CheckResult[];
  readonly verdict: CheckVerdict;
}

/** Whether a check passed. */
export type CheckVerdict =
  /** A call works, over UDP. */
  | 'good'
  /** UDP does not work; media goes over TCP, and stops for a moment after each loss. */
  | 'tcpOnly'
  /** Only the TURN server is reached. */
  | 'relayOnly'
  | 'noMedia'
  | 'noSignaling'
  /** The server did not let this client into a room, so that media was not checked. */
  | 'notJoined';

export function verdictOf(results: readonly CheckResult[]): CheckVerdict {
  const works = (name: CheckName) => {
    const status = results.find((result) => result.name === name)?.status;
    return status === 'ok' || status === 'warning';
  };
  if (!works('signaling')) return 'noSignaling';
  if (works('udp')) return 'good';
  if (works('tcp')) return 'tcpOnly';
  if (pathNames.some(works)) return 'relayOnly';
  return works('room') ? 'noMedia' : 'notJoined';
}

/** The part of an ICE candidate that a path is selected by. */
interface Candidate {
  readonly protocol: string;
}

/** What a transport for one path uses; null if the server offers nothing for it. */
export interface PathConfig<C extends Candidate> {
  readonly candidates: readonly C[];
  readonly iceServers: readonly IceServer[];
  readonly iceTransportPolicy: 'all' | 'relay';
}

export function pathConfig<C extends Candidate>(
  path: PathName,
  candidates: readonly C[],
  servers: readonly IceServer[],
): PathConfig<C> | null {
  const of = (protocol: string) => candidates.filter((candidate) => candidate.protocol === protocol);
  if (path === 'udp' || path === 'tcp') {
    const direct = of(path);
    return direct.length > 0 ? { candidates: direct, iceServers: [], iceTransportPolicy: 'all' } : null;
  }
  const iceServers = servers
    .map((server) => ({ ...server, urls: server.urls.filter((url) => turnPathOf(url) === path) }))
    .filter(({ urls }) => urls.length > 0);
  // A relay sends UDP to the engine, whatever its client uses.
  return iceServers.length > 0 ? { candidates: of('udp'), iceServers, iceTransportPolicy: 'relay' } : null;
}

/** RFC 7065: the default transport of `turn:` is UDP, that of `turns:` TCP. */
function turnPathOf(url: string): PathName | null {
  const isUdp = /[?&]transport=udp\b/i.test(url) || !/[?&]transport=/i.test(url);
  if (/^turns:/i.test(url)) return 'turnTls';
  if (/^turn:/i.test(url)) return isUdp ? 'turnUdp' : 'turnTcp';
  return null;
}

/** Why a TURN server gave no relay, by the codes of `icecandidateerror`. */
export function turnFailure(codes: readonly number[]): CheckReason {
  return codes.some((code) => [401, 403, 438, 441].includes(code)) ? 'turnCredentials' : 'noTurn';
}
