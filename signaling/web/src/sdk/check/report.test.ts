import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { IceServerSchema } from '../../gen/signal_pb';
import {
  type CheckName,
  type CheckResult,
  type CheckVerdict,
  checkNames,
  pathConfig,
  pathNames,
  turnFailure,
  verdictOf,
} from './report';

const candidates = [
  { protocol: 'udp', port: 1 },
  { protocol: 'tcp', port: 2 },
];
const server = (...urls: string[]) => create(IceServerSchema, { urls, username: 'u', credential: 'c' });
const servers = [server('stun:h:3478', 'turn:h:3478', 'turn:h:3478?transport=tcp'), server('turns:h:5349?transport=tcp')];

describe('the configuration of a path', () => {
  test('directly to the engine has the candidates of one protocol and no TURN server', () => {
    expect(pathConfig('udp', candidates, servers)).toEqual({
      candidates: [{ protocol: 'udp', port: 1 }],
      iceServers: [],
      iceTransportPolicy: 'all',
    });
    expect(pathConfig('tcp', candidates, servers)?.candidates).toEqual([{ protocol: 'tcp', port: 2 }]);
  });

  test.each([
    ['turnUdp', 'turn:h:3478'],
    ['turnTcp', 'turn:h:3478?transport=tcp'],
    ['turnTls', 'turns:h:5349?transport=tcp'],
  ] as const)('%s has one URL, its credentials, and the UDP candidates', (path, url) => {
    expect(pathConfig(path, candidates, servers)).toMatchObject({
      candidates: [{ protocol: 'udp' }],
      iceServers: [{ urls: [url], username: 'u', credential: 'c' }],
      iceTransportPolicy: 'relay',
    });
  });

  test('is null where the server offers nothing', () => {
    for (const path of pathNames) expect(pathConfig(path, [], [server('stun:h')]), path).toBe(null);
  });
});

test.each<[CheckVerdict, CheckName[]]>([
  ['good', ['signaling', 'room', 'udp', 'tcp']],
  ['tcpOnly', ['signaling', 'room', 'tcp', 'turnUdp']],
  ['relayOnly', ['signaling', 'room', 'turnTls']],
  ['noMedia', ['signaling', 'room', 'camera']],
  ['notJoined', ['signaling', 'microphone']],
  ['noSignaling', ['microphone', 'camera']],
])('%s: of all checks, %j are passed', (verdict, passed) => {
  const result = (name: CheckName): CheckResult => {
    const status = passed.includes(name) ? 'ok' : 'failed';
    return { name, status, reason: null, detail: '', roundTripMs: null };
  };
  expect(verdictOf(checkNames.map(result))).toBe(verdict);
});

test('a TURN server that refuses differs from one that does not answer', () => {
  expect(turnFailure([701, 401])).toBe('turnCredentials');
  expect(turnFailure([701])).toBe('noTurn');
  expect(turnFailure([])).toBe('noTurn');
});
