import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ortc, testFakeParameters, type types } from 'mediasoup-client';
import { expect, test } from 'vitest';
import { RtpCapabilitiesSchema, RtpParametersSchema, SctpStreamParametersSchema, TransportCreatedSchema } from '../gen/signal_pb';
import {
  fromRtpCapabilities,
  fromRtpParameters,
  fromSctpStreamParameters,
  fromTransportCreated,
  toRtpCapabilities,
  toRtpParameters,
  toSctpStreamParameters,
} from './wire';

/** Serialized and parsed again: the objects that mediasoup-client gets at the other end. */
function sendCapabilities(capabilities: types.RtpCapabilities): types.RtpCapabilities {
  const bytes = toBinary(RtpCapabilitiesSchema, toRtpCapabilities(capabilities));
  return fromRtpCapabilities(fromBinary(RtpCapabilitiesSchema, bytes));
}

function sendParameters(parameters: types.RtpParameters): types.RtpParameters {
  const bytes = toBinary(RtpParametersSchema, toRtpParameters(parameters));
  return fromRtpParameters(fromBinary(RtpParametersSchema, bytes));
}

test('capabilities keep their payload types, parameters and feedback', () => {
  const sent = testFakeParameters.generateRouterRtpCapabilities();
  const received = sendCapabilities(sent);
  expect(received.codecs?.map((codec) => [codec.mimeType, codec.preferredPayloadType, codec.clockRate])).toEqual(
    sent.codecs?.map((codec) => [codec.mimeType, codec.preferredPayloadType, codec.clockRate]),
  );
  const rtx = received.codecs?.find((codec) => codec.mimeType === 'video/rtx');
  // ortc compares `apt` with `===`: it has to arrive as a number.
  expect(typeof rtx?.parameters?.apt).toBe('number');
  expect(() => ortc.validateAndNormalizeRtpCapabilities(received)).not.toThrow();
});

test('a text value that looks like a number stays text', () => {
  const capabilities: types.RtpCapabilities = {
    codecs: [
      {
        kind: 'video',
        mimeType: 'video/H264',
        preferredPayloadType: 96,
        clockRate: 90000,
        parameters: { 'profile-level-id': '42001f', 'packetization-mode': 1, 'sprop-something': '17', far: 4294967296 },
      },
    ],
  };
  expect(sendCapabilities(capabilities).codecs?.[0]?.parameters).toEqual({
    'profile-level-id': '42001f',
    'packetization-mode': 1,
    'sprop-something': '17',
    far: '4294967296',
  });
});

test('parameters come back as mediasoup-client made them', () => {
  const sent: types.RtpParameters = {
    mid: '3',
    codecs: [
      {
        mimeType: 'video/VP8',
        payloadType: 101,
        clockRate: 90000,
        parameters: {},
        rtcpFeedback: [
          { type: 'nack', parameter: '' },
          { type: 'nack', parameter: 'pli' },
        ],
      },
      { mimeType: 'video/rtx', payloadType: 102, clockRate: 90000, parameters: { apt: 101 }, rtcpFeedback: [] },
    ],
    headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 1, encrypt: false }],
    encodings: [{ ssrc: 0xfedcba98, rtx: { ssrc: 1 }, maxBitrate: 1_800_000, dtx: false }],
    rtcp: { cname: 'alice', reducedSize: true, mux: true },
  };
  expect(sendParameters(sent)).toEqual(sent);
  expect(() => ortc.validateAndNormalizeRtpParameters(sendParameters(sent))).not.toThrow();
});

test('a transport without DTLS parameters is refused before the browser sees it', () => {
  expect(() => fromTransportCreated(create(TransportCreatedSchema, { id: 't' }))).toThrow(/DTLS/);
});

test('a transport has the relays that came with it, and else those of the join', () => {
  const server = (credential: string) => ({ urls: ['turn:a'], username: 'u', credential });
  const [old, fresh] = [server('old'), server('fresh')];
  const relays = (iceServers: object[]) => {
    const message = create(TransportCreatedSchema, {
      id: 't',
      iceParameters: { usernameFragment: 'u', password: 'p', iceLite: true },
      dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'sha-256', value: 'AA:BB' }] },
      iceServers,
    });
    return fromTransportCreated(message, [old]).iceServers;
  };
  expect(relays([])).toEqual([old]);
  expect(relays([fresh])).toEqual([fresh]);
});

test('a candidate carries its address under both names mediasoup-client reads', () => {
  const options = fromTransportCreated(
    create(TransportCreatedSchema, {
      id: 't',
      iceParameters: { usernameFragment: 'u', password: 'p', iceLite: true },
      iceCandidates: [{ foundation: '1', priority: 7, address: '::1', protocol: 'udp', port: 7100, type: 'host' }],
      dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'sha-256', value: 'AA:BB' }] },
    }),
  );
  expect(options.iceCandidates[0]).toEqual({
    foundation: '1',
    priority: 7,
    address: '::1',
    ip: '::1',
    protocol: 'udp',
    port: 7100,
    type: 'host',
  });
});

test('a transport has the association that came with it', () => {
  const association = (sctpParameters?: object) =>
    fromTransportCreated(
      create(TransportCreatedSchema, {
        id: 't',
        iceParameters: { usernameFragment: 'u', password: 'p', iceLite: true },
        dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'sha-256', value: 'AA:BB' }] },
        sctpParameters,
      }),
    ).sctpParameters;
  const numbers = { port: 5000, maxMessageSize: 262_144 };
  expect(association({ ...numbers, os: 10, mis: 20 })).toEqual({ ...numbers, OS: 10, MIS: 20 });
  expect(association()).toBe(undefined);
});

test.each<[types.SctpStreamParameters, types.SctpStreamParameters?]>([
  [{ streamId: 0, ordered: true }],
  [{ streamId: 7, ordered: false }],
  [{ streamId: 7, ordered: false, maxRetransmits: 3 }],
  [{ streamId: 7, ordered: false, maxPacketLifeTime: 100 }],
  [{ streamId: 7, ordered: true, maxRetransmits: 0 }],
  [
    { streamId: 7, ordered: true, maxRetransmits: 3 },
    { streamId: 7, ordered: false, maxRetransmits: 3 },
  ],
  [{ streamId: 7 }, { streamId: 7, ordered: true }],
])('the stream %j is accepted by mediasoup-client at the other end', (sent, expected = sent) => {
  const bytes = toBinary(SctpStreamParametersSchema, toSctpStreamParameters(sent));
  const received = fromSctpStreamParameters(fromBinary(SctpStreamParametersSchema, bytes));
  expect(received).toEqual(expected);
  expect(() => ortc.validateAndNormalizeSctpStreamParameters(received)).not.toThrow();
});
