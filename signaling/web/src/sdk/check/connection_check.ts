// Checks the way from this browser to a server: signaling, each path for media, and the devices. It joins a room like a
// call, opens one transport for each path, with the candidates of that path only, and leaves.

import { Device, type types } from 'mediasoup-client';
import type { IceServer, Joined, TransportCreated } from '../../gen/signal_pb';
import { captureOne } from '../capture';
import { SignalChannel } from '../channel';
import { messageOf, SignalError } from '../errors';
import { codeOfRefusal } from '../webrtc_error';
import { fromIceServers, fromRtpCapabilities, fromTransportCreated, toDtlsParameters } from '../wire';
import {
  type CheckName,
  type CheckReport,
  type CheckResult,
  checkNames,
  type PathName,
  pathConfig,
  pathNames,
  turnFailure,
  verdictOf,
} from './report';

/** Browsers need up to 30 s to see that a path fails. */
const SIGNALING_MS = 15_000;
const PATH_MS = 20_000;
/** The server permits four transports of a peer. */
const PATHS_AT_ONCE = 3;
const ROOM_ID_BYTES = 8;

/** The settings of the connection check. */
export interface CheckOptions {
  /** The server's origin; by default the page's own. */
  url?: string;
  /** The room to join; by default one with a name at random, where no other client is. A token is often for one room. */
  room?: string;
  token?: string;
  /** The devices that are not checked. */
  without?: readonly ('microphone' | 'camera')[];
}

type Outcome = Partial<Omit<CheckResult, 'name'>> & Pick<CheckResult, 'status'>;

/** `onResults` is called with the results so far, after each change. It never rejects. */
export async function checkConnection(
  options: CheckOptions = {},
  onResults: (results: readonly CheckResult[]) => void = () => undefined,
): Promise<CheckReport> {
  const check = new ConnectionCheck(options, onResults);
  return check.run();
}

class ConnectionCheck {
  readonly #options: CheckOptions;
  readonly #onResults: (results: readonly CheckResult[]) => void;
  readonly #results = new Map<CheckName, CheckResult>();

  constructor(options: CheckOptions, onResults: (results: readonly CheckResult[]) => void) {
    this.#options = options;
    this.#onResults = onResults;
    for (const name of checkNames) this.#results.set(name, resultOf(name, { status: 'waiting' }));
  }

  async run(): Promise<CheckReport> {
    const { without = [] } = this.#options;
    const devices = (['audio', 'video'] as const).map((kind) => {
      const name = kind === 'audio' ? 'microphone' : 'camera';
      return without.includes(name) ? this.#set(name, { status: 'skipped' }) : this.#checkDevice(name, kind);
    });
    await this.#checkServer();
    await Promise.all(devices);
    const results = [...this.#results.values()];
    return { at: Date.now(), results, verdict: verdictOf(results) };
  }

  #set(name: CheckName, outcome: Outcome): void {
    this.#results.set(name, resultOf(name, outcome));
    this.#onResults([...this.#results.values()]);
  }

  async #checkDevice(name: 'microphone' | 'camera', kind: 'audio' | 'video'): Promise<void> {
    this.#set(name, { status: 'running' });
    const captured = await captureOne(kind);
    if ('error' in captured) {
      this.#set(name, { status: 'failed', reason: captured.error.reason, detail: captured.error.message });
      return;
    }
    const { track } = captured;
    const isMuted = track.muted;
    this.#set(name, { status: isMuted ? 'warning' : 'ok', reason: isMuted ? 'muted' : null, detail: track.label });
    track.stop();
  }

  async #checkServer(): Promise<void> {
    let onUp: () => void = () => undefined;
    const up = new Promise<void>((resolve) => {
      onUp = resolve;
    });
    const channel = new SignalChannel(this.#options.url, { onUp: () => onUp() });
    this.#set('signaling', { status: 'running' });
    const startedAt = performance.now();
    channel.open();
    try {
      await within(SIGNALING_MS, up);
      const roundTripMs = Math.round(performance.now() - startedAt);
      const isPolling = channel.transport === 'polling';
      const detail = channel.transport;
      this.#set('signaling', {
        status: isPolling ? 'warning' : 'ok',
        reason: isPolling ? 'noWebSocket' : null,
        detail,
        roundTripMs,
      });
    } catch (error) {
      this.#set('signaling', { status: 'failed', reason: 'unreachable', detail: messageOf(error) });
      this.#skip(['room', ...pathNames]);
      channel.close();
      return;
    }
    const joined = await this.#checkRoom(channel);
    if (joined) await this.#checkPaths(channel, joined);
    else this.#skip(pathNames);
    await channel.request({ case: 'leave', value: {} }, 'ack').catch(() => undefined);
    channel.close();
  }

  #skip(names: readonly CheckName[]): void {
    for (const name of names) this.#set(name, { status: 'skipped', reason: 'notChecked' });
  }

  async #checkRoom(channel: SignalChannel): Promise<Joined | null> {
    const { room = `check-${randomId()}`, token = '' } = this.#options;
    this.#set('room', { status: 'running' });
    try {
      const answer = await channel.ask({ case: 'joinRoom', value: { room, displayName: 'Connection check', token } });
      if (answer.case === 'waiting') {
        this.#set('room', { status: 'warning', reason: 'waitingRoom' });
        return null;
      }
      if (answer.case !== 'joined') throw new Error(`unexpected answer ${answer.case}`);
      this.#set('room', { status: 'ok', detail: room });
      return answer.value;
    } catch (error) {
      const isToken = error instanceof SignalError && codeOfRefusal(error.errorCode) === 'TOKEN_REFUSED';
      const code = error instanceof SignalError ? `${error.codeName}: ` : '';
      this.#set('room', { status: 'failed', reason: isToken ? 'token' : 'refused', detail: code + messageOf(error) });
      return null;
    }
  }

  async #checkPaths(channel: SignalChannel, joined: Joined): Promise<void> {
    for (const name of pathNames) this.#set(name, { status: 'running' });
    let device: Device;
    try {
      device = await Device.factory();
      if (!joined.routerCapabilities) throw new Error('Joined carries no router capabilities');
      await device.load({ routerRtpCapabilities: fromRtpCapabilities(joined.routerCapabilities) });
    } catch (error) {
      for (const name of pathNames) this.#set(name, { status: 'failed', reason: 'unsupported', detail: messageOf(error) });
      return;
    }
    const waiting = [...pathNames];
    const worker = async () => {
      for (let path = waiting.shift(); path; path = waiting.shift())
        this.#set(path, await checkPath(channel, device, joined, path));
    };
    await Promise.all(Array.from({ length: PATHS_AT_ONCE }, worker));
  }
}

function resultOf(name: CheckName, outcome: Outcome): CheckResult {
  return { name, reason: null, detail: '', roundTripMs: null, ...outcome };
}

async function checkPath(channel: SignalChannel, device: Device, joined: Joined, path: PathName): Promise<Outcome> {
  let created: TransportCreated;
  try {
    created = await channel.request({ case: 'createTransport', value: { direction: 'send' } }, 'transportCreated');
  } catch (error) {
    return { status: 'failed', reason: 'noEngine', detail: messageOf(error) };
  }
  const closeOnServer = () =>
    channel.request({ case: 'closeTransport', value: { transportId: created.id } }, 'ack').catch(() => undefined);
  const servers: readonly IceServer[] = created.iceServers.length > 0 ? created.iceServers : joined.iceServers;
  const options = fromTransportCreated(created);
  const config = pathConfig(path, options.iceCandidates, servers);
  if (!config) {
    await closeOnServer();
    return { status: 'skipped', reason: 'notOffered' };
  }
  const transport = device.createSendTransport({
    ...options,
    iceCandidates: [...config.candidates],
    iceServers: fromIceServers([...config.iceServers]),
    iceTransportPolicy: config.iceTransportPolicy,
  });
  const codes: number[] = [];
  try {
    await within(PATH_MS, connect(transport, channel, codes));
    return { status: 'ok', ...(await selectedPair(transport)) };
  } catch (error) {
    const relays = await relayCount(transport);
    const detail = [messageOf(error), ...new Set(codes.map((code) => `TURN error ${code}`))].join('; ');
    if (config.iceTransportPolicy === 'all') return { status: 'failed', reason: 'noPath', detail };
    return { status: 'failed', reason: relays > 0 ? 'noPathFromTurn' : turnFailure(codes), detail };
  } finally {
    transport.close();
    await closeOnServer();
  }
}

/**
 * Resolves when the transport is connected: ICE and DTLS. A data channel makes it connect. The server is not asked for a
 * data producer, so that the check needs no permission to send, and the others of the room see nothing of it.
 */
function connect(transport: types.Transport, channel: SignalChannel, codes: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      const value = { transportId: transport.id, dtlsParameters: toDtlsParameters(dtlsParameters) };
      channel.request({ case: 'connectTransport', value }, 'ack').then(() => done(), failed);
    });
    transport.on('producedata', (_, done) => done({ id: 'check' }));
    transport.on('icecandidateerror', ({ errorCode }) => codes.push(errorCode));
    transport.on('connectionstatechange', (state) => {
      if (state === 'connected') resolve();
      if (state === 'failed') reject(new Error('ICE or DTLS failed'));
    });
    transport.produceData({ label: 'leat.check' }).catch(reject);
  });
}

async function selectedPair(transport: types.Transport): Promise<Pick<CheckResult, 'detail' | 'roundTripMs'>> {
  const report = await transport.getStats();
  const stats = [...report.values()];
  const { selectedCandidatePairId } = stats.find(({ type }) => type === 'transport') ?? {};
  const pair =
    report.get(selectedCandidatePairId ?? '') ?? stats.find(({ type, nominated }) => type === 'candidate-pair' && nominated);
  const remote = report.get(pair?.remoteCandidateId ?? '');
  const seconds: number | undefined = pair?.currentRoundTripTime;
  return {
    detail: remote ? `${remote.protocol} ${remote.address ?? ''}:${remote.port}` : '',
    roundTripMs: seconds === undefined ? null : Math.round(seconds * 1_000),
  };
}

async function relayCount(transport: types.Transport): Promise<number> {
  try {
    const stats = [...(await transport.getStats()).values()];
    return stats.filter(({ type, candidateType }) => type === 'local-candidate' && candidateType === 'relay').length;
  } catch {
    return 0;
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result within ${ms / 1_000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(ROOM_ID_BYTES)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
