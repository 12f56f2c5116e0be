// mediasoup for the comparison: one worker, and requests that add peers to rooms. One JSON object a line
// over TCP; each request is answered with its id:
//
//   {"id":1,"method":"publish","room":0,"fingerprint":"AA:…","tracks":[{"kind":"video","rtpParameters":{…}}]}
//   {"id":1,"result":{"ice":…,"candidates":[…],"dtls":…,"producers":["…"]}}
//   {"id":2,"method":"subscribe","room":0,"fingerprint":"AA:…","producers":["…"]}
//   {"id":2,"result":{"ice":…,"candidates":[…],"dtls":…,"consumers":[{"producerId":"…","rtpParameters":{…}}]}}
//
// With "dataStream":0 in publish, the peer sends messages on that SCTP stream, and the result has "dataProducer".
// With that in subscribe, the peer receives them on the stream "dataStream" of the result.
//
// The two arguments are the port and the IP address for media. The worker is the binary in
// MEDIASOUP_WORKER_BIN.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { createWorker } from 'mediasoup';

const [port, ip] = process.argv.slice(2);

const MEDIA_CODECS = [
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48000, channels: 2 },
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90000 },
  {
    kind: 'video',
    mimeType: 'video/H264',
    clockRate: 90000,
    parameters: { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 },
  },
];

const worker = await createWorker({ logLevel: 'warn' });
worker.on('died', () => process.exit(1));
// On a signal mediasoup closes its worker, but this process would continue to listen without one.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));

const rooms = new Map();
const router = (room) => {
  if (!rooms.has(room)) rooms.set(room, worker.createRouter({ mediaCodecs: MEDIA_CODECS }));
  return rooms.get(room);
};

// The size of Leat's send buffer, so that neither loses messages that the other one stores.
const SEND_BUFFER = 2 * 1024 * 1024;

async function transport(room, fingerprint, enableSctp) {
  const made = await room.createWebRtcTransport({
    listenInfos: [{ protocol: 'udp', ip }],
    // Media is forwarded immediately, without waiting for an estimate.
    initialAvailableOutgoingBitrate: 10_000_000,
    enableSctp,
    sctpSendBufferSize: SEND_BUFFER,
  });
  const fingerprints = [{ algorithm: 'sha-256', value: fingerprint }];
  await made.connect({ dtlsParameters: { role: 'client', fingerprints } });
  const described = { ice: made.iceParameters, candidates: made.iceCandidates, dtls: made.dtlsParameters };
  return [made, described];
}

const methods = {
  async publish({ room, fingerprint, tracks, dataStream }) {
    const hasData = typeof dataStream === 'number';
    const [made, described] = await transport(await router(room), fingerprint, hasData);
    const producers = [];
    for (const track of tracks) producers.push((await made.produce(track)).id);
    if (!hasData) return { ...described, producers };
    const sctpStreamParameters = { streamId: dataStream, ordered: true };
    const { id: dataProducer } = await made.produceData({ sctpStreamParameters });
    return { ...described, producers, dataProducer };
  },

  async subscribe({ room, fingerprint, producers, dataProducer }) {
    const { rtpCapabilities } = await router(room);
    const [made, described] = await transport(await router(room), fingerprint, Boolean(dataProducer));
    const consumers = [];
    for (const producerId of producers) {
      const { rtpParameters } = await made.consume({ producerId, rtpCapabilities });
      consumers.push({ producerId, rtpParameters });
    }
    if (!dataProducer) return { ...described, consumers };
    const { sctpStreamParameters } = await made.consumeData({ dataProducerId: dataProducer });
    return { ...described, consumers, dataStream: sctpStreamParameters.streamId };
  },
};

async function answer(line) {
  const { id, method, ...parameters } = JSON.parse(line);
  try {
    return { id, result: await methods[method](parameters) };
  } catch (error) {
    return { id, error: `${error.name}: ${error.message}` };
  }
}

createServer((socket) => {
  socket.on('error', () => socket.destroy());
  const lines = createInterface({ input: socket });
  lines.on('line', async (line) => socket.write(`${JSON.stringify(await answer(line))}\n`));
}).listen(Number(port), '127.0.0.1');
