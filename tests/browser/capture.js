// Records the packets that Chromium sends: one file a track under tests/vectors/captures, for `cargo test -p
// leat-tests --test sim captures`.
//
//     npm run capture
//
// Two connections of one page send to each other, and Chromium logs each packet before it encrypts it. A file
// begins with a few lines of text – the codec, payload types and extension ids, then an empty line – and then
// has the packets: the time of sending (ms, 32 bits), the packet's length (16 bits), the number of bytes
// stored here (16 bits), and these bytes. Of a payload only the first bytes are stored, which are all that a
// forwarder reads.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const FOLDER = resolve(fileURLToPath(import.meta.url), '../../vectors/captures');

/** Bytes stored of each payload. */
const PAYLOAD_KEPT = 40;

/** Maximum length of a file in bytes. */
const FILE_LEN_MAX = 40_000;

/**
 * The time before the first change, and between changes: a layer is switched off, then on again with a
 * keyframe.
 */
const PAUSE_MS = 1500;

const simulcast = (scalabilityMode) => [
  { rid: 'q', scaleResolutionDownBy: 4, scalabilityMode, maxBitrate: 60_000 },
  { rid: 'h', scaleResolutionDownBy: 2, scalabilityMode, maxBitrate: 150_000 },
  { rid: 'f', scaleResolutionDownBy: 1, scalabilityMode, maxBitrate: 400_000 },
];
const svc = (scalabilityMode) => [{ scalabilityMode, maxBitrate: 600_000 }];

const TRACKS = [
  { name: 'vp8-simulcast', mime: 'video/VP8', encodings: simulcast('L1T3') },
  { name: 'h264-simulcast', mime: 'video/H264', encodings: simulcast('L1T1') },
  { name: 'vp9-l3t3', mime: 'video/VP9', encodings: svc('L3T3') },
  { name: 'vp9-l3t3-key', mime: 'video/VP9', encodings: svc('L3T3_KEY') },
  { name: 'av1-l3t3', mime: 'video/AV1', encodings: svc('L3T3') },
  { name: 'av1-l3t3-key', mime: 'video/AV1', encodings: svc('L3T3_KEY') },
];

/** Runs in the page: sends a track for a while, and returns the negotiated payload types and extensions. */
async function send({ mime, encodings, pauseMs }) {
  const video = { width: 1280, height: 720, frameRate: 30 };
  const camera = await navigator.mediaDevices.getUserMedia({ video });
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate);
  to.onicecandidate = ({ candidate }) => candidate && from.addIceCandidate(candidate);
  const transceiver = from.addTransceiver(camera.getTracks()[0], { direction: 'sendonly', sendEncodings: encodings });
  const codecs = RTCRtpReceiver.getCapabilities('video').codecs;
  const wanted = codecs.find(
    ({ mimeType, sdpFmtpLine = '' }) => mimeType === mime && !/packetization-mode=0|profile-id=[12]/.test(sdpFmtpLine),
  );
  transceiver.setCodecPreferences([wanted, ...codecs.filter(({ mimeType }) => mimeType === 'video/rtx')]);
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  // A browser does not receive simulcast, but the result does not matter here.
  const rids = encodings.map(({ rid }) => rid).filter(Boolean);
  const offered = rids.length > 0 ? [...rids.map((rid) => `a=rid:${rid} recv`), `a=simulcast:recv ${rids.join(';')}`] : [];
  const sdp = `${to.localDescription.sdp}${offered.map((line) => `${line}\r\n`).join('')}`;
  await from.setRemoteDescription({ type: 'answer', sdp });
  for (const isThere of [false, true]) {
    await new Promise((done) => setTimeout(done, pauseMs));
    const parameters = transceiver.sender.getParameters();
    const top = parameters.encodings.at(-1);
    if (rids.length > 0) top.active = isThere;
    else top.scalabilityMode = isThere ? encodings[0].scalabilityMode : encodings[0].scalabilityMode.replace('L3', 'L2');
    await transceiver.sender.setParameters(parameters);
  }
  await new Promise((done) => setTimeout(done, pauseMs));
  const ptOf = (name, apt) =>
    sdp.split('\r\n').flatMap((line) => {
      const [, pt] = line.match(new RegExp(`^a=rtpmap:(\\d+) ${name}/90000`)) ?? [];
      return pt && (apt === undefined || sdp.includes(`a=fmtp:${pt} apt=${apt}\r\n`)) ? [Number(pt)] : [];
    })[0];
  const pt = ptOf(mime.slice('video/'.length));
  const extensions = [...sdp.matchAll(/^a=extmap:(\d+) (\S+)/gm)].map(([, id, uri]) => ({ id: Number(id), uri }));
  from.close();
  to.close();
  return { pt, rtx: ptOf('rtx', pt), extensions };
}

async function record({ name, mime, encodings }) {
  const folder = mkdtempSync(join(tmpdir(), 'leat-capture-'));
  const log = join(folder, 'chromium.log');
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--use-fake-device-for-media-stream=fps=30',
      '--use-fake-ui-for-media-stream',
      '--allow-loopback-in-peer-connection',
      '--enable-logging',
      '--vmodule=*srtp_session*=3',
      '--force-fieldtrials=WebRTC-Debugging-RtpDump/Enabled/',
    ],
    env: { ...process.env, CHROME_LOG_FILE: log },
  });
  try {
    const page = await (await browser.newContext({ permissions: ['camera'] })).newPage();
    await page.route('http://localhost/**', (route) =>
      route.fulfill({ contentType: 'text/html', body: '<title>capture</title>' }),
    );
    await page.goto('http://localhost/');
    const version = browser.version();
    const { pt, rtx, extensions } = await page.evaluate(send, { mime, encodings, pauseMs: PAUSE_MS });
    await browser.close();
    const head = [
      `codec ${mime.slice('video/'.length)}`,
      `chromium ${version}`,
      `pt ${pt}`,
      `rtx ${rtx}`,
      ...extensions.map(({ id, uri }) => `extension ${id} ${uri}`),
    ];
    const parts = [Buffer.from(`${head.join('\n')}\n\n`, 'latin1')];
    let len = parts[0].length;
    let begin;
    for (const { ms, bytes } of packets(readFileSync(log, 'latin1'), [pt, rtx])) {
      begin ??= ms;
      const kept = bytes.subarray(0, Math.min(bytes.length, headerLen(bytes) + PAYLOAD_KEPT));
      const record = Buffer.alloc(8);
      // Chromium's clock restarts at 0 every minute.
      record.writeUInt32BE((ms - begin + 60_000) % 60_000, 0);
      record.writeUInt16BE(bytes.length, 4);
      record.writeUInt16BE(kept.length, 6);
      len += record.length + kept.length;
      if (len > FILE_LEN_MAX) break;
      parts.push(record, kept);
    }
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(join(FOLDER, `${name}.rtp`), Buffer.concat(parts));
    if (begin === undefined) throw new Error(`${name}: Chromium logged no packets`);
    process.stdout.write(`${name}: ${(parts.length - 1) / 2} packets over ${parts.at(-2).readUInt32BE(0)} ms\n`);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The packets sent with these payload types, in order. */
function* packets(log, payloadTypes) {
  for (const [, h, m, s, hex] of log.matchAll(/^O (\d+):(\d+):([\d.]+) \d+ ([\da-f ]+)# RTP_DUMP/gm)) {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    const ms = Math.round(((Number(h) * 60 + Number(m)) * 60 + Number(s)) * 1000);
    if (payloadTypes.includes(bytes[1] & 0x7f)) yield { ms, bytes };
  }
}

/** RFC 3550 §5.1, §5.3.1. */
function headerLen(bytes) {
  const fixed = 12 + 4 * (bytes[0] & 0x0f);
  return bytes[0] & 0x10 ? fixed + 4 + 4 * bytes.readUInt16BE(fixed + 2) : fixed;
}

const only = process.argv.slice(2);
for (const track of TRACKS) if (only.length === 0 || only.includes(track.name)) await record(track);
