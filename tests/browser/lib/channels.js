// Pages with data channels: a bare RTCPeerConnection whose transport is made by the object flow.

import { PATIENCE_MS, until } from './wait.js';

/** The script of the page. */
export const CHANNELS = `
import { SignalChannel } from './leat.js';
const { url, room, displayName } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const pc = new RTCPeerConnection();
const producers = [];
const received = {};
const onNotification = ({ case: name, value }) => {
  if (name === 'newDataProducer') producers.push(value.dataProducer);
};
const onUp = () => channel.request({ case: 'joinRoom', value: { room, token: '', displayName } }, 'joined').then((joined) => {
  producers.push(...joined.peers.flatMap(({ dataProducers }) => dataProducers));
  window.peerId = joined.peerId;
});
const channel = new SignalChannel(url, { onUp, onNotification }).open();
const ask = (name, value, answer) => channel.request({ case: name, value }, answer);
let transport;

const answerOf = ({ iceParameters: ice, iceCandidates, dtlsParameters, sctpParameters: sctp }) => [
  'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=ice-lite', 'a=group:BUNDLE 0',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 127.0.0.1', 'a=mid:0', 'a=setup:passive',
  'a=ice-ufrag:' + ice.usernameFragment, 'a=ice-pwd:' + ice.password,
  ...dtlsParameters.fingerprints.map(({ algorithm, value }) => 'a=fingerprint:' + algorithm + ' ' + value),
  'a=sctp-port:' + sctp.port, 'a=max-message-size:' + sctp.maxMessageSize,
  ...iceCandidates
    .filter(({ protocol }) => protocol === 'udp')
    .map((c) => 'a=candidate:' + [c.foundation, 1, 'udp', c.priority, c.address, c.port, 'typ', 'host'].join(' ')),
  'a=end-of-candidates', '',
].join('\\r\\n');

window.connect = async () => {
  transport = await ask('createTransport', { direction: 'sendrecv' }, 'transportCreated');
  pc.createDataChannel('first', { negotiated: true, id: 1023 });
  await pc.setLocalDescription();
  const [, algorithm, value] = /a=fingerprint:(\\S+) (\\S+)/.exec(pc.localDescription.sdp);
  const dtlsParameters = { role: 'client', fingerprints: [{ algorithm, value }] };
  await ask('connectTransport', { transportId: transport.id, dtlsParameters }, 'ack');
  await pc.setRemoteDescription({ type: 'answer', sdp: answerOf(transport) });
};

window.send = async (stream, options = {}, to = []) => {
  const { ordered, maxRetransmits, maxPacketLifeTime } = options;
  const sctpStreamParameters = { streamId: stream, ordered, maxRetransmits, maxPacketLifeTime };
  const label = 'to-' + stream;
  const value = { transportId: transport.id, sctpStreamParameters, label, to };
  const { id } = await ask('produceData', value, 'dataProducerCreated');
  const dc = pc.createDataChannel(label, { negotiated: true, id: stream, ...options });
  window['out' + stream] = dc;
  dc.onclose = () => (dc.hasClosed = true);
  return id;
};

window.receive = async (label) => {
  const { id } = producers.find((producer) => producer.label === label);
  const value = { transportId: transport.id, dataProducerId: id };
  const { sctpStreamParameters } = await ask('consumeData', value, 'dataConsumerCreated');
  const { streamId, ordered, maxRetransmits, maxPacketLifeTime } = sctpStreamParameters;
  const dc = pc.createDataChannel(label, { negotiated: true, id: streamId, ordered, maxRetransmits, maxPacketLifeTime });
  dc.binaryType = 'arraybuffer';
  received[label] = [];
  dc.onmessage = ({ data }) => received[label].push(data);
  dc.onclose = () => (dc.hasClosed = true);
  window['in-' + label] = dc;
};

const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const digest = async (data) => {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  return { kind: typeof data, size: bytes.byteLength, sha256: hex(await crypto.subtle.digest('SHA-256', bytes)) };
};
window.digests = (label) => Promise.all((received[label] ?? []).map(digest));
window.sendAll = async (stream, sizes) => {
  const dc = window['out' + stream];
  const sent = [];
  for (const [index, size] of sizes.entries()) {
    const bytes = new Uint8Array(size).map((_, at) => at * 31 + index * 7);
    const data = index % 2 ? bytes : String.fromCharCode(...bytes.slice(0, 1000).map((byte) => 32 + (byte % 90)));
    sent.push(await digest(data));
    dc.send(data);
    while (dc.bufferedAmount > 1_000_000) await new Promise((done) => setTimeout(done, 10));
  }
  return sent;
};
/** The messages of a channel, one character for each byte. */
window.texts = (label) => {
  const bytesOf = (data) => (typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data));
  return (received[label] ?? []).map((data) => Array.from(bytesOf(data), (byte) => String.fromCharCode(byte)).join(''));
};
window.forget = () => producers.splice(0);
window.known = () => producers.map(({ label }) => label);
Object.assign(window, { pc, channel, ask });
`;

/** A page with the script, in its room. */
export async function openChannels(browser, pages, url, room, displayName) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(String(error)));
  await page.goto(`${pages.origin}/channels#${encodeURIComponent(JSON.stringify({ url, room, displayName }))}`);
  await until(`${displayName} has joined`, () => page.evaluate(() => window.peerId !== undefined));
  await page.evaluate(() => window.connect());
  await until(`${displayName} is connected`, () => page.evaluate(() => window.pc.connectionState === 'connected'));
  return page;
}
