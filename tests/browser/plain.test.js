// Plain ffmpeg processes in a call: a browser shows the media that one sends, and another receives the
// browser's media.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SignalClient } from './lib/client.js';
import { IS_IPV6, LOOPBACK, LOOPBACK_HOST } from './lib/family.js';
import { progress } from './lib/peers.js';
import { inRoom } from './lib/room.js';
import { PATIENCE_MS, sleep, TEST_LIMIT, until } from './lib/wait.js';

const QUIET = ['-hide_banner', '-nostats', '-loglevel', 'warning'];
const VIDEO = { kind: 'video', mimeType: 'video/VP8', clockRate: 90_000, payloadType: 96, source: 'camera' };
const AUDIO = { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2, payloadType: 97, source: 'microphone' };
const FAMILY = IS_IPV6 ? 'ipv6' : 'ipv4';
/** As written in SDP. */
const IP = `IP${IS_IPV6 ? 6 : 4} ${LOOPBACK}`;
/** The recording ends after this many frames. */
const FRAMES = 45;

const of = ({ mimeType, clockRate, channels }) => ({ mimeType, clockRate, channels });

/**
 * Creates a producer that is identified by its payload type. Returns the address to which its program sends.
 */
async function source(client, { kind, payloadType, source, ...codec }) {
  const made = await client.request(
    'createPlainTransport',
    { direction: 'send', family: FAMILY, comedia: true },
    'plainTransportCreated',
  );
  await client.request('connectPlainTransport', { transportId: made.id });
  const rtpParameters = { codecs: [{ ...of(codec), payloadType }] };
  await client.request('produceMedia', { transportId: made.id, kind, source, rtpParameters }, 'producerCreated');
  return `rtp://${LOOPBACK_HOST}:${made.port}`;
}

/** Creates a consumer whose program listens on this port of loopback. */
async function sink(client, producerId, port, { kind, ...codec }) {
  const made = await client.request('createPlainTransport', { direction: 'recv', family: FAMILY }, 'plainTransportCreated');
  await client.request('connectPlainTransport', { transportId: made.id, address: LOOPBACK, port });
  const rtpCapabilities = { codecs: [{ kind, ...of(codec), preferredPayloadType: 96 }] };
  const wanted = { transportId: made.id, producerId, rtpCapabilities };
  const { id, rtpParameters } = await client.request('consumeMedia', wanted, 'consumerCreated');
  return { id, payloadType: rtpParameters.codecs[0].payloadType };
}

function run(args) {
  const process = spawn('ffmpeg', [...QUIET, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(process, 'close');
  const output = { out: '', err: '' };
  process.stdout.setEncoding('utf8').on('data', (text) => (output.out += text));
  process.stderr.setEncoding('utf8').on('data', (text) => (output.err += text));
  return { process, ended, output };
}

test('a browser shows the media of ffmpeg, and ffmpeg receives the media of the browser', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada'] }, async ({ leat, peers: [ada], step }) => {
    const client = await SignalClient.join(leat.url, 'millpond', 'Film');
    const programs = [];
    try {
      await step('video and audio of ffmpeg arrive', async () => {
        const [video, audio] = [await source(client, VIDEO), await source(client, AUDIO)];
        programs.push(
          run([
            ...[
              '-re',
              '-f',
              'lavfi',
              '-i',
              'testsrc2=size=320x240:rate=30',
              '-re',
              '-f',
              'lavfi',
              '-i',
              'sine=sample_rate=48000',
            ],
            ...['-map', '0:v', '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '30', '-b:v', '400k'],
            ...['-payload_type', '96', '-f', 'rtp', video],
            ...['-map', '1:a', '-c:a', 'libopus', '-ac', '2', '-payload_type', '97', '-f', 'rtp', audio],
          ]),
        );
        await ada.receives(['Film']);
        // A browser that gets no CPU time for a while loses packets, so an interval with losses is followed
        // by another one.
        let before = await ada.received();
        await until('60 frames and 100 audio packets arrive with at most 5 losses', async () => {
          const now = await ada.received();
          const streams = progress(before, now).filter(({ from }) => from === 'Film');
          const [audio, video] = ['audio', 'video'].map((wanted) => streams.find(({ kind }) => kind === wanted));
          if (streams.length !== 2 || !(video?.frames >= 60 && audio?.packets >= 100 && audio.energy > 0)) return false;
          before = now;
          return streams.every(({ kind, lost }) => {
            if (lost > 5) t.diagnostic(`${kind}: ${lost} packets lost on loopback`);
            return lost <= 5;
          });
        });
        const tuples = client.notifications.filter((notification) => notification.case === 'plainTransportTuple');
        assert.ok(tuples.length >= 2 && tuples.every(({ value }) => value.remoteAddress === LOOPBACK), JSON.stringify(tuples));
      });

      await step('ffmpeg decodes the video of the browser', async () => {
        const folder = mkdtempSync(join(tmpdir(), 'leat-plain-'));
        try {
          const camera = client.peers[0].producers.find(({ kind }) => kind === 'video').id;
          // An even port and the next one, which are not in use: the engine's ports are far below.
          const port = leat.turnTlsPort + 1 + ((leat.turnTlsPort + 1) % 2);
          const { id, payloadType } = await sink(client, camera, port, VIDEO);
          const lines = ['v=0', `o=- 0 0 IN ${IP}`, 's=leat', `c=IN ${IP}`, 't=0 0'];
          const sdp = join(folder, 'leat.sdp');
          writeFileSync(
            sdp,
            [...lines, `m=video ${port} RTP/AVP ${payloadType}`, `a=rtpmap:${payloadType} VP8/90000`, ''].join('\n'),
          );
          const recorder = run([
            '-protocol_whitelist',
            'file,udp,rtp',
            '-i',
            sdp,
            '-frames:v',
            String(FRAMES),
            '-f',
            'framecrc',
            '-',
          ]);
          programs.push(recorder);
          // ffmpeg does not report when it listens; a consumer that is resumed too early needs another
          // keyframe, which the loop requests.
          await sleep(1_000);
          await client.request('resumeConsumer', { consumerId: id });
          const again = setInterval(
            () =>
              client
                .request('pauseConsumer', { consumerId: id })
                .then(() => client.request('resumeConsumer', { consumerId: id })),
            8_000,
          );
          await Promise.race([recorder.ended, sleep(3 * PATIENCE_MS)]).finally(() => clearInterval(again));
          const frames = recorder.output.out.split('\n').filter((line) => line.startsWith('0,')).length;
          assert.equal(frames, FRAMES, `frames decoded; ffmpeg printed\n${recorder.output.err}`);
        } finally {
          rmSync(folder, { recursive: true });
        }
      });

      await step('the client of the programs leaves, and their streams are removed', async () => {
        await client.request('leave', {});
        await until('Ada is alone', async () => (await ada.tiles()).length === 0);
      });
    } finally {
      client.close();
      for (const { process } of programs) process.kill('SIGKILL');
      await Promise.all(programs.map(({ ended }) => ended));
    }
  });
});
