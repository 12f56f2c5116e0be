import { expect, test } from 'vitest';
import { hasPicture, isRelayed, type Report, receivedSample, sentSample } from './samples';

const report = (...rows: object[]): Report =>
  new Map(rows.map((row, index) => [String(index), { id: String(index), timestamp: 5_000, ...row }])) as unknown as Report;

const inbound = { type: 'inbound-rtp', kind: 'video', ssrc: 7, packetsReceived: 100, packetsLost: 5, bytesReceived: 900 };
const details = { jitter: 0.012, freezeCount: 2, totalFreezesDuration: 0.6 };
const pair = { type: 'candidate-pair', id: 'pair', currentRoundTripTime: 0.03 };

test('a received source is the inbound stream with its SSRC', () => {
  const other = { ...inbound, ssrc: 8, packetsReceived: 1 };
  const transport = { type: 'transport', selectedCandidatePairId: 'pair' };
  const wrongPair = { ...pair, id: 'old', nominated: true, state: 'succeeded', currentRoundTripTime: 9 };
  expect(receivedSample(report(other, { ...inbound, ...details }, wrongPair, pair, transport), 7)).toEqual({
    kind: 'video',
    at: 5_000,
    packets: 100,
    packetsLost: 5,
    bytes: 900,
    jitterMs: 12,
    rttMs: 30,
    freezes: 2,
    frozenMs: 600,
  });
  expect(receivedSample(report(other), 7)).toBe(null);
});

test('a browser without freezes and without a row of the transport', () => {
  const nominated = { ...pair, nominated: true, state: 'succeeded' };
  const sample = receivedSample(report({ ...inbound, kind: 'audio' }, { ...pair, currentRoundTripTime: 9 }, nominated), 7);
  expect(sample).toMatchObject({ kind: 'audio', rttMs: 30, freezes: 0, frozenMs: 0, jitterMs: 0 });
  expect(receivedSample(report(inbound), 7)?.rttMs).toBe(null);
});

const outbound = { type: 'outbound-rtp', kind: 'video', mid: '1', packetsSent: 50, bytesSent: 400 };
const remote = { type: 'remote-inbound-rtp', packetsLost: 2, jitter: 0.004, roundTripTime: 0.05 };

test('a sent source is all encodings of its section, with the reports of the server', () => {
  const rows = [
    { ...outbound, ssrc: 1, remoteId: 'r1' },
    { ...outbound, ssrc: 2 },
    { ...outbound, ssrc: 3, mid: '2', packetsSent: 1_000 },
    { ...remote, id: 'r1', ssrc: 1 },
    { ...remote, ssrc: 2, jitter: 0.009, roundTripTime: 0.07 },
    { ...remote, ssrc: 3, packetsLost: 99 },
  ];
  const sample = sentSample(report(...rows), '1');
  expect(sample).toMatchObject({ kind: 'video', packets: 100, packetsLost: 4, bytes: 800, jitterMs: 9, rttMs: 70 });
  expect(sentSample(report(...rows), '5')).toBe(null);
});

test('before the first report of the server, the round trip is that of the path', () => {
  const rows = [
    { ...outbound, ssrc: 1 },
    { ...pair, nominated: true, state: 'succeeded' },
  ];
  expect(sentSample(report(...rows), '1')).toMatchObject({ packetsLost: 0, jitterMs: 0, rttMs: 30 });
});

test('a path is relayed if its own candidate is a relay', () => {
  const selected = { ...pair, nominated: true, state: 'succeeded', localCandidateId: 'own' };
  const candidate = (candidateType: string) => ({ type: 'local-candidate', id: 'own', candidateType });
  const other = { type: 'local-candidate', id: 'other', candidateType: 'relay' };
  expect(isRelayed(report(selected, other, candidate('relay')))).toBe(true);
  expect(isRelayed(report(selected, other, candidate('host')))).toBe(false);
  expect(isRelayed(report(other))).toBe(null);
});

test('a picture was decoded', () => {
  expect(hasPicture(report({ ...inbound, framesDecoded: 1 }))).toBe(true);
  expect(hasPicture(report({ ...inbound, framesDecoded: 0 }, { ...inbound, kind: 'audio', framesDecoded: 3 }))).toBe(false);
});
