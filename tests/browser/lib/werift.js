// werift, a WebRTC implementation in JavaScript, as a client of WHIP and WHEP: ffmpeg makes what it publishes
// and decodes what it plays.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { dePacketizeRtpPackets, MediaStreamTrack, RTCPeerConnection, useOPUS, useSdesMid, useVP8 } from 'werift';
import { LOOPBACK, LOOPBACK_HOST } from './family.js';
import { until } from './wait.js';
import { SDP } from './whip.js';

const QUIET = ['-hide_banner', '-nostats', '-loglevel', 'warning'];
const PICTURE = { width: 320, height: 240 };

function connection() {
  return new RTCPeerConnection({
    iceServers: [],
    iceAdditionalHostAddresses: [LOOPBACK],
    bundlePolicy: 'max-bundle',
    codecs: { video: [useVP8()], audio: [useOPUS()] },
    headerExtensions: { video: [useSdesMid()], audio: [useSdesMid()] },
  });
}

/** Sends the offer. Returns the URL of the session. */
async function exchange(peer, url) {
  await peer.setLocalDescription(await peer.createOffer());
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': SDP }, body: peer.localDescription.sdp });
  const answer = await response.text();
  assert.equal(response.status, 201, answer);
  await peer.setRemoteDescription({ type: 'answer', sdp: answer });
  await until('werift is connected', () => peer.connectionState === 'connected');
  return new URL(response.headers.get('Location'), url);
}

/** Returns a function that ends the session and returns the status of the answer, also when it is called again. */
function ending(peer, session, release = () => undefined) {
  let ended;
  const end = async () => {
    release();
    const { status } = await fetch(session, { method: 'DELETE' });
    await peer.close();
    return status;
  };
  return () => {
    ended ??= end();
    return ended;
  };
}

/** A port of loopback whose packets a track sends. */
async function source(track) {
  const socket = createSocket(LOOPBACK.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, LOOPBACK);
  await once(socket, 'listening');
  socket.on('message', (packet) => {
    // RFC 5761 §4: not the RTCP of ffmpeg.
    if (packet[1] < 192 || packet[1] > 223) track.writeRtp(packet);
  });
  return socket;
}

/** Publishes a test picture and a tone. */
export async function publish(url) {
  const peer = connection();
  const tracks = ['video', 'audio'].map((kind) => new MediaStreamTrack({ kind }));
  for (const track of tracks) peer.addTransceiver(track, { direction: 'sendonly' });
  const session = await exchange(peer, url);
  const sockets = await Promise.all(tracks.map(source));
  const [video, audio] = sockets.map((socket) => `rtp://${LOOPBACK_HOST}:${socket.address().port}?pkt_size=1200`);
  const picture = `testsrc2=size=${PICTURE.width}x${PICTURE.height}:rate=15`;
  // ffmpeg does not hear of keyframe requests: there is a keyframe each second.
  const ffmpeg = spawn('ffmpeg', [
    ...QUIET,
    ...['-re', '-f', 'lavfi', '-i', picture, '-re', '-f', 'lavfi', '-i', 'sine=sample_rate=48000'],
    ...[
      '-map',
      '0:v',
      '-c:v',
      'libvpx',
      '-deadline',
      'realtime',
      '-cpu-used',
      '8',
      '-g',
      '15',
      '-b:v',
      '400k',
      '-f',
      'rtp',
      video,
    ],
    ...['-map', '1:a', '-c:a', 'libopus', '-ac', '2', '-f', 'rtp', audio],
  ]);
  return {
    picture: PICTURE,
    stop: ending(peer, session, () => {
      ffmpeg.kill('SIGKILL');
      for (const socket of sockets) socket.close();
    }),
  };
}

/** The frames of a VP8 stream, from its first keyframe on. */
class Frames {
  #packets = [];
  #isStarted = false;
  frames = [];

  add(packet) {
    this.#packets.push(packet);
    if (!packet.header.marker) return;
    const packets = this.#packets;
    this.#packets = [];
    const expected = (at) => (packets[0].header.sequenceNumber + at) & 0xffff;
    // A frame with a lost or late packet is left out, and all after it until the next keyframe.
    if (packets.some(({ header }, at) => header.sequenceNumber !== expected(at))) {
      this.#isStarted = false;
      return;
    }
    const { data, isKeyframe } = dePacketizeRtpPackets('VP8', packets);
    this.#isStarted ||= isKeyframe;
    if (this.#isStarted) this.frames.push(data);
  }
}

/** An IVF file. */
function ivfOf(frames) {
  const head = Buffer.alloc(32);
  head.write('DKIF\0\0\x20\0VP80', 'latin1');
  head.writeUInt32LE(15, 16);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(frames.length, 24);
  const parts = frames.flatMap((frame, at) => {
    const of = Buffer.alloc(12);
    of.writeUInt32LE(frame.length, 0);
    of.writeUInt32LE(at, 4);
    return [of, frame];
  });
  return Buffer.concat([head, ...parts]);
}

/** Plays, and keeps the frames and the number of audio packets. */
export async function play(url) {
  const peer = connection();
  const pictures = new Frames();
  const sounds = [];
  for (const kind of ['audio', 'video']) {
    const transceiver = peer.addTransceiver(kind, { direction: 'recvonly' });
    transceiver.onTrack.subscribe((track) =>
      track.onReceiveRtp.subscribe((packet) => {
        if (kind === 'video') pictures.add(packet);
        else sounds.push(Buffer.from(packet.payload));
      }),
    );
  }
  const session = await exchange(peer, url);
  return {
    get frames() {
      return pictures.frames.length;
    },
    get packets() {
      return sounds.length;
    },
    /** The frames of Opus, and the frames of VP8 from the first keyframe on, as they arrived. */
    sounds,
    get pictures() {
      return pictures.frames;
    },
    /** `frames`: instead of those that arrived. */
    decode: (frames = pictures.frames) => decode(ivfOf(frames)),
    stop: ending(peer, session),
  };
}

/** The number of frames that ffmpeg decodes, and what it printed. */
async function decode(file) {
  const ffmpeg = spawn('ffmpeg', [...QUIET, '-f', 'ivf', '-i', '-', '-f', 'framecrc', '-']);
  const output = { out: '', err: '' };
  ffmpeg.stdout.setEncoding('utf8').on('data', (text) => (output.out += text));
  ffmpeg.stderr.setEncoding('utf8').on('data', (text) => (output.err += text));
  ffmpeg.stdin.on('error', () => undefined).end(file);
  await once(ffmpeg, 'close');
  return { frames: output.out.split('\n').filter((line) => line.startsWith('0,')).length, printed: output.err };
}
