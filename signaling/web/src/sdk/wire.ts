// Conversion between protobuf messages and the plain objects of mediasoup-client. The names are the same on
// both sides. Most of the code handles what protobuf cannot express: `string | number` values, and fields
// that are absent rather than empty.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { types } from 'mediasoup-client';
import {
  DtlsParametersSchema,
  type IceCandidate as IceCandidateMessage,
  type IceParameters as IceParametersMessage,
  type IceServer,
  type ParameterValue,
  type ParameterValueSchema,
  type RtpCapabilities as RtpCapabilitiesMessage,
  RtpCapabilitiesSchema,
  type RtpParameters as RtpParametersMessage,
  RtpParametersSchema,
  type SctpParameters as SctpParametersMessage,
  type SctpStreamParameters as SctpStreamParametersMessage,
  SctpStreamParametersSchema,
  type TransportCreated,
} from '../gen/signal_pb';

/** An fmtp value: an integer that fits goes as a number, everything else as text. */
function toValue(value: unknown): MessageInitShape<typeof ParameterValueSchema> {
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 0x7fffffff) {
    return { value: { case: 'number', value } };
  }
  return { value: { case: 'text', value: String(value) } };
}

function fromValue({ value }: ParameterValue): string | number {
  return value.case === undefined ? '' : value.value;
}

function toValues(parameters: Record<string, unknown> = {}) {
  return Object.fromEntries(
    Object.entries(parameters)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name, toValue(value)]),
  );
}

function fromValues(parameters: { [name: string]: ParameterValue }): Record<string, string | number> {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, fromValue(value)]));
}

/** Drops the keys protobuf left undefined: mediasoup-client checks some of them with `in` and `typeof`. */
function compact<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

export function toRtpCapabilities(capabilities: types.RtpCapabilities): RtpCapabilitiesMessage {
  return create(RtpCapabilitiesSchema, {
    codecs: (capabilities.codecs ?? []).map((codec) => ({ ...codec, parameters: toValues(codec.parameters) })),
    headerExtensions: capabilities.headerExtensions ?? [],
  });
}

export function fromRtpCapabilities(message: RtpCapabilitiesMessage): types.RtpCapabilities {
  return {
    codecs: message.codecs.map((codec) =>
      compact({
        kind: codec.kind as types.MediaKind,
        mimeType: codec.mimeType,
        preferredPayloadType: codec.preferredPayloadType,
        clockRate: codec.clockRate,
        channels: codec.channels,
        parameters: fromValues(codec.parameters),
        rtcpFeedback: codec.rtcpFeedback.map(({ type, parameter }) => ({ type, parameter })),
      }),
    ),
    headerExtensions: message.headerExtensions.map((extension) => ({
      kind: extension.kind as types.MediaKind,
      uri: extension.uri as types.RtpHeaderExtensionUri,
      preferredId: extension.preferredId,
      preferredEncrypt: extension.preferredEncrypt,
      direction: (extension.direction || 'sendrecv') as types.RtpHeaderExtensionDirection,
    })),
  };
}

export function toRtpParameters(parameters: types.RtpParameters): RtpParametersMessage {
  return create(RtpParametersSchema, {
    mid: parameters.mid,
    codecs: parameters.codecs.map((codec) => ({ ...codec, parameters: toValues(codec.parameters) })),
    headerExtensions: (parameters.headerExtensions ?? []).map(({ uri, id, encrypt }) => ({ uri, id, encrypt })),
    encodings: (parameters.encodings ?? []).map((encoding) => ({
      ssrc: encoding.ssrc,
      rid: encoding.rid,
      codecPayloadType: encoding.codecPayloadType,
      rtx: encoding.rtx,
      dtx: encoding.dtx,
      scalabilityMode: encoding.scalabilityMode,
      scaleResolutionDownBy: encoding.scaleResolutionDownBy,
      maxBitrate: encoding.maxBitrate,
      maxFramerate: encoding.maxFramerate,
    })),
    rtcp: parameters.rtcp && { cname: parameters.rtcp.cname, reducedSize: parameters.rtcp.reducedSize },
    msid: parameters.msid,
  });
}

export function fromRtpParameters(message: RtpParametersMessage): types.RtpParameters {
  return compact({
    mid: message.mid,
    codecs: message.codecs.map((codec) =>
      compact({
        mimeType: codec.mimeType,
        payloadType: codec.payloadType,
        clockRate: codec.clockRate,
        channels: codec.channels,
        parameters: fromValues(codec.parameters),
        rtcpFeedback: codec.rtcpFeedback.map(({ type, parameter }) => ({ type, parameter })),
      }),
    ),
    headerExtensions: message.headerExtensions.map(({ uri, id, encrypt }) => ({
      uri: uri as types.RtpHeaderExtensionUri,
      id,
      encrypt,
    })),
    encodings: message.encodings.map((encoding) =>
      compact({
        ssrc: encoding.ssrc,
        rid: encoding.rid,
        codecPayloadType: encoding.codecPayloadType,
        rtx: encoding.rtx && { ssrc: encoding.rtx.ssrc },
        dtx: encoding.dtx,
        scalabilityMode: encoding.scalabilityMode,
        scaleResolutionDownBy: encoding.scaleResolutionDownBy,
        maxBitrate: encoding.maxBitrate,
        maxFramerate: encoding.maxFramerate,
      }),
    ),
    rtcp: message.rtcp && compact({ cname: message.rtcp.cname, reducedSize: message.rtcp.reducedSize ?? true, mux: true }),
    msid: message.msid,
  });
}

export function fromIceParameters(message: IceParametersMessage): types.IceParameters {
  return { usernameFragment: message.usernameFragment, password: message.password, iceLite: message.iceLite };
}

function fromIceCandidate(message: IceCandidateMessage): types.IceCandidate {
  return compact({
    foundation: message.foundation,
    priority: message.priority,
    address: message.address,
    ip: message.address,
    protocol: message.protocol as types.IceCandidate['protocol'],
    port: message.port,
    type: message.type as types.IceCandidate['type'],
    tcpType: message.tcpType as types.IceCandidate['tcpType'],
  });
}

export function toDtlsParameters(parameters: types.DtlsParameters) {
  return create(DtlsParametersSchema, { role: parameters.role ?? 'auto', fingerprints: parameters.fingerprints });
}

function fromSctpParameters({ port, os, mis, maxMessageSize }: SctpParametersMessage): types.SctpParameters {
  return { port, OS: os, MIS: mis, maxMessageSize };
}

export function toSctpStreamParameters(parameters: types.SctpStreamParameters): SctpStreamParametersMessage {
  const { streamId, ordered, maxPacketLifeTime, maxRetransmits } = parameters;
  return create(SctpStreamParametersSchema, { streamId, ordered, maxPacketLifeTime, maxRetransmits });
}

/**
 * mediasoup-client refuses ordered streams with limited retransmission. At a receiver neither has an effect: the sender
 * decides both for each message.
 */
export function fromSctpStreamParameters(message: SctpStreamParametersMessage): types.SctpStreamParameters {
  const { streamId, ordered = true, maxPacketLifeTime, maxRetransmits } = message;
  const isLimited = Boolean(maxPacketLifeTime || maxRetransmits);
  return compact({ streamId, ordered: ordered && !isLimited, maxPacketLifeTime, maxRetransmits });
}

/** TURN servers in the browser's form. */
export function fromIceServers(servers: IceServer[]): RTCIceServer[] {
  return servers.map(({ urls, username, credential }) => ({ urls, username, credential }));
}

/**
 * The argument of `createSendTransport` and `createRecvTransport`. `iceServers` apply when the message has
 * none, as from older servers.
 */
export function fromTransportCreated(message: TransportCreated, iceServers: RTCIceServer[] = []): types.TransportOptions {
  const { iceParameters, dtlsParameters } = message;
  if (!iceParameters || !dtlsParameters) throw new Error('TransportCreated lacks ICE or DTLS parameters');
  return {
    id: message.id,
    iceParameters: fromIceParameters(iceParameters),
    iceCandidates: message.iceCandidates.map(fromIceCandidate),
    iceServers: message.iceServers.length > 0 ? fromIceServers(message.iceServers) : iceServers,
    dtlsParameters: {
      role: (dtlsParameters.role || 'auto') as types.DtlsRole,
      fingerprints: dtlsParameters.fingerprints.map(({ algorithm, value }) => ({
        algorithm: algorithm as types.FingerprintAlgorithm,
        value,
      })),
    },
    ...(message.sctpParameters && { sctpParameters: fromSctpParameters(message.sctpParameters) }),
  };
}
