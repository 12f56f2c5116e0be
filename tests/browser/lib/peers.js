// One Chromium with a context for each participant, and methods to read the state of a participant.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { ARTEFACTS } from './leat.js';
import { serveApp } from './previous.js';
import { PATIENCE_MS, until } from './wait.js';

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';

/**
 * Four participants encode and decode in software on two cores: the picture is small, so that a freeze is
 * caused by the server and not by the CPU.
 */
export const CAPTURE = { width: 640, height: 360, frameRate: 15 };

/** `frameRate` is the fake camera's, `args` are further arguments of Chromium. */
export function launch({ frameRate = CAPTURE.frameRate, args = [] } = {}) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--use-fake-device-for-media-stream=fps=${frameRate}`,
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      '--allow-loopback-in-peer-connection',
      // Chromium takes all contexts for one window, and slows the timers of pages that it takes for hidden.
      '--disable-background-timer-throttling',
      '--disable-renderer-backgrounding',
      '--disable-backgrounding-occluded-windows',
      ...args,
    ],
  });
}

/** Enough lines for three sizes; the height does not change. */
export const CAPTURE_720 = { width: 1280, height: 720, frameRate: 30, steady: true };

/** Runs in the page, before the app: a participant that only receives. */
export function withoutDevices() {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
}

/** Runs in the page, before the app. `steady`: a busy CPU reduces the frame rate, not the height. */
export function constrainCamera({ steady = false, ...capture }) {
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (wanted) => real({ ...wanted, video: wanted.video && { ...wanted.video, ...capture } });
  if (!steady) return;
  const { addTransceiver } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function (...args) {
    const transceiver = addTransceiver.apply(this, args);
    const parameters = transceiver.sender.getParameters();
    void transceiver.sender.setParameters({ ...parameters, degradationPreference: 'maintain-resolution' });
    return transceiver;
  };
}

/**
 * Runs in the page, before the app: a camera whose picture changes, because the fake camera's picture is so
 * simple that its sender always has enough bitrate: `spots` spots, at new places in each frame. No two frames
 * differ in more than these spots. If each frame added something, a frame that the encoder skips would make
 * the next one larger, and the encoder would never catch up.
 */
export function changingCamera({ width, height, frameRate, spots }) {
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await real(wanted);
    const [plain] = stream.getVideoTracks();
    if (!plain) return stream;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    setInterval(() => {
      context.fillStyle = '#777';
      context.fillRect(0, 0, width, height);
      for (let spot = 0; spot < spots; spot += 1) {
        context.fillStyle = `hsl(${Math.random() * 360} 70% ${Math.random() * 100}%)`;
        context.fillRect(Math.random() * width, Math.random() * height, 48, 48);
      }
    }, 1_000 / frameRate);
    plain.stop();
    stream.removeTrack(plain);
    // Every drawn picture, at any time: a fixed frame rate would drop one of two pictures that are close
    // together.
    stream.addTrack(canvas.captureStream().getVideoTracks()[0]);
    return stream;
  };
}

/** A participant: a page in its own context. */
export class Peer {
  name;
  page;
  errors = [];

  /**
   * Opens the app and joins. `camera` is a function for the page, with its argument, that replaces the fake
   * camera; `before` are further such functions, which run after it and before the app. `served` are scripts
   * by path, which the page gets as if from the server. `app` is the folder of a built app, which the page gets
   * instead of the server's. `needsClick`: the server has a key, and joining needs a click. `encrypted`: the link
   * demands end-to-end encryption.
   */
  static async open(
    browser,
    url,
    {
      room,
      name,
      token,
      camera = [constrainCamera, CAPTURE],
      before = [],
      served = {},
      app = process.env.LEAT_APP,
      needsClick = false,
      encrypted = false,
    },
  ) {
    const peer = new Peer();
    peer.name = name;
    const context = await browser.newContext({ permissions: ['camera', 'microphone'], viewport: { width: 1280, height: 800 } });
    peer.page = await context.newPage();
    peer.page.setDefaultTimeout(PATIENCE_MS);
    peer.page.on('pageerror', (error) => peer.errors.push(error.message));
    await peer.page.addInitScript(...camera);
    for (const script of before) await peer.page.addInitScript(...script);
    for (const [path, body] of Object.entries(served)) {
      await peer.page.route(url + path, (route) => route.fulfill({ contentType: 'text/javascript', body }));
    }
    if (app !== undefined) await serveApp(peer.page, url, app, needsClick ? 'token' : 'development');
    const query = new URLSearchParams({ room, name, join: '1', ...(encrypted && { encrypted: '1' }) });
    const fragment = token === undefined ? '' : `#${new URLSearchParams({ token })}`;
    await peer.page.goto(`${url}/?${query}${fragment}`);
    // If tokens are required, a link alone does not join.
    if (needsClick) await peer.press('Join');
    return peer;
  }

  async close() {
    await this.page.context().close();
  }

  /** For example "Connected"; null outside a call. */
  session() {
    return this.page.evaluate(() => window.__leat.store.getState().call?.session ?? null);
  }

  online() {
    return this.page.evaluate(() => window.__leat.store.getState().call?.online ?? false);
  }

  /**
   * The events that the client library has logged: `{at, what}`, `at` by the machine's clock in milliseconds.
   */
  history() {
    return this.page.evaluate(() => window.__leat.call?.history ?? []);
  }

  async connected(timeoutMs = PATIENCE_MS) {
    await until(`${this.name} is connected`, async () => (await this.session()) === 'Connected', { timeoutMs });
  }

  /** Receive statistics of every stream that belongs to a peer: one row a stream. */
  received() {
    return this.page.evaluate(async () => {
      const { store, call } = window.__leat;
      const owners = new Map();
      for (const peer of store.getState().call?.peers ?? []) {
        for (const { source, track } of peer.sources) if (track) owners.set(track.id, { from: peer.name, source });
      }
      const rows = [];
      const report = await call?.getStats('recv');
      for (const stats of report?.values() ?? []) {
        const owner = stats.type === 'inbound-rtp' && owners.get(stats.trackIdentifier);
        if (!owner) continue;
        rows.push({
          ...owner,
          kind: stats.kind,
          packets: stats.packetsReceived,
          bytes: stats.bytesReceived,
          lost: stats.packetsLost,
          frames: stats.framesDecoded ?? 0,
          freezes: stats.freezeCount ?? 0,
          frozenS: stats.totalFreezesDuration ?? 0,
          energy: stats.totalAudioEnergy ?? 0,
          samples: stats.totalSamplesReceived ?? 0,
          concealed: (stats.concealedSamples ?? 0) - (stats.silentConcealedSamples ?? 0),
          height: stats.frameHeight ?? 0,
          codec: report.get(stats.codecId)?.mimeType ?? '',
          fmtp: report.get(stats.codecId)?.sdpFmtpLine ?? '',
          // The target delay of the jitter buffer: the sum over all frames played, and their number.
          targetDelayS: stats.jitterBufferTargetDelay ?? 0,
          emitted: stats.jitterBufferEmittedCount ?? 0,
          // The capture time, on the sender's clock, of the frame that plays now: the same for audio and
          // video that are in sync.
          playout: stats.estimatedPlayoutTimestamp ?? 0,
        });
      }
      return rows;
    });
  }

  /** One stream's row; undefined while there is none. */
  async stream(from, kind) {
    return (await this.received()).find((row) => row.from === from && row.kind === kind);
  }

  /** Audio and video of all these peers have arrived. */
  async receives(names, timeoutMs = PATIENCE_MS) {
    let rows = [];
    try {
      await until(
        '',
        async () => {
          rows = await this.received();
          return names.every((name) => {
            const video = rows.find(({ from, kind }) => from === name && kind === 'video');
            const audio = rows.find(({ from, kind }) => from === name && kind === 'audio');
            return video?.frames > 0 && audio?.packets > 0;
          });
        },
        { timeoutMs },
      );
    } catch {
      const notes = (await this.history()).slice(-25).map(({ what }) => `  ${what}`);
      throw new Error(
        `${this.name} does not see and hear ${names.join(', ')} after ${timeoutMs} ms; it has ${JSON.stringify(rows)}\n${notes.join('\n')}`,
      );
    }
  }

  /** Cipher and state of the transports in use. */
  transports() {
    return this.page.evaluate(async () => {
      const rows = [];
      for (const direction of ['send', 'recv']) {
        for (const stats of (await window.__leat.call?.getStats(direction))?.values() ?? []) {
          if (stats.type !== 'transport') continue;
          const { dtlsState, iceState, srtpCipher, tlsVersion, dtlsCipher } = stats;
          rows.push({ direction, dtlsState, iceState, srtpCipher, tlsVersion, dtlsCipher });
        }
      }
      return rows;
    });
  }

  /** The candidate pair in use of each transport: its protocol, and for TCP which side opened it. */
  pairs() {
    return this.page.evaluate(async () => {
      const rows = [];
      for (const direction of ['send', 'recv']) {
        const report = await window.__leat.call?.getStats(direction);
        for (const stats of report?.values() ?? []) {
          const pair = stats.type === 'transport' && report.get(stats.selectedCandidatePairId);
          const local = pair && report.get(pair.localCandidateId);
          if (local)
            rows.push({
              direction,
              protocol: local.protocol,
              tcpType: local.tcpType,
              type: local.candidateType,
              relay: local.relayProtocol,
              port: report.get(pair.remoteCandidateId)?.port,
            });
        }
      }
      return rows;
    });
  }

  /** The browser's estimate of the bandwidth to the engine, in bit/s. */
  uplinkEstimate() {
    return this.page.evaluate(async () => {
      const rows = [...((await window.__leat.call?.getStats('send'))?.values() ?? [])];
      const pair = rows.find(({ type, nominated, availableOutgoingBitrate }) => {
        return type === 'candidate-pair' && nominated && availableOutgoingBitrate !== undefined;
      });
      return pair?.availableOutgoingBitrate ?? 0;
    });
  }

  /** The sent streams: one row for each encoding, the smallest picture first, and one for audio. */
  sent() {
    return this.page.evaluate(async () => {
      const report = await window.__leat.call?.getStats('send');
      const rows = [...(report?.values() ?? [])].filter(({ type }) => type === 'outbound-rtp');
      const row = (stats) => ({
        kind: stats.kind,
        rid: stats.rid ?? '',
        active: stats.active ?? true,
        frames: stats.framesEncoded ?? 0,
        keyframes: stats.keyFramesEncoded ?? 0,
        height: stats.frameHeight ?? 0,
        mode: stats.scalabilityMode ?? '',
        codec: report.get(stats.codecId)?.mimeType ?? '',
        fmtp: report.get(stats.codecId)?.sdpFmtpLine ?? '',
        encoder: stats.encoderImplementation ?? '',
        limited: stats.qualityLimitationReason ?? '',
      });
      return rows.map(row).sort((a, b) => a.rid.localeCompare(b.rid));
    });
  }

  /**
   * Requests layers of a peer's camera; null lets the size of the tile decide. Returns the time by the
   * machine's clock.
   */
  pin(name, layers) {
    return this.page.evaluate(
      ([name, layers]) => {
        const peer = window.__leat.store.getState().call?.peers.find((peer) => peer.name === name);
        const camera = peer?.sources.find(({ source }) => source === 'camera');
        if (!camera) throw new Error(`${name} sends no camera`);
        window.__leat.call.pinLayers(camera.id, layers);
        return Date.now();
      },
      [name, layers],
    );
  }

  /** The layers of a peer's camera that the server reports to send. */
  layersOf(name) {
    return this.page.evaluate((name) => {
      const peer = window.__leat.store.getState().call?.peers.find((peer) => peer.name === name);
      const layers = window.__leat.call?.layersOf(peer?.sources.find(({ source }) => source === 'camera')?.id);
      return layers ? { spatialLayer: layers.spatialLayer, temporalLayer: layers.temporalLayer } : null;
    }, name);
  }

  /** Names on the tiles of other participants. */
  tiles() {
    return this.page
      .locator('.tile[data-source="camera"] .name')
      .allTextContents()
      .then((names) => names.filter((name) => !name.endsWith('(you)')).sort());
  }

  tileOf(name) {
    return this.page.locator('.tile[data-source="camera"]').filter({ has: this.page.getByText(name, { exact: true }) });
  }

  press(label) {
    return this.page.getByRole('button', { name: label, exact: true }).click();
  }

  /** Sets a mark in the loaded page, which a reload removes. */
  mark() {
    return this.page.evaluate(() => {
      window.sameLoad = true;
    });
  }

  isMarked() {
    return this.page.evaluate(() => window.sameLoad === true);
  }

  async screenshot(file) {
    mkdirSync(ARTEFACTS, { recursive: true });
    await this.page.screenshot({ path: join(ARTEFACTS, file) });
  }
}

/** The streams of these rows, and the streams expected of these peers: "Ada audio", "Ada video" and so on. */
export const streamsIn = (rows) => rows.map(({ from, kind }) => `${from} ${kind}`).sort();
export const streamsOf = (names) => names.flatMap((name) => [`${name} audio`, `${name} video`]).sort();

/**
 * Difference of two `received()` samples of one peer, for every stream of the later one, which may lack
 * streams.
 */
export function progress(before, after) {
  return after.map((row) => {
    const first = before.find(({ from, source }) => from === row.from && source === row.source);
    const delta = { from: row.from, source: row.source, kind: row.kind };
    for (const key of ['packets', 'bytes', 'lost', 'frames', 'freezes', 'frozenS', 'energy', 'samples', 'concealed'])
      delta[key] = row[key] - (first?.[key] ?? 0);
    return delta;
  });
}
