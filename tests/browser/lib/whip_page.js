// Runs in a page of Chromium or Firefox: publishes by WHIP and plays by WHEP, with RTCPeerConnection and
// fetch only, or with the clients of npm packages. The functions are properties of `window.whip`.

/** Every connection of the page in the order of creation, also those that a package creates. */
const connections = [];
const Real = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Real {
  constructor(...args) {
    super(...args);
    connections.push(this);
  }
};

/** The session of each connection: its URL, and the headers of later requests. */
const sessions = new Map();

/** The TURN servers of a Link header. */
function iceServersOf(link) {
  return [...(link ?? '').matchAll(/<(turns?:[^>]*)>; rel="ice-server"; username="([^"]*)"; credential="([^"]*)"/g)].map(
    ([, urls, username, credential]) => ({ urls, username, credential }),
  );
}

/** `relays`: the connection gathers candidates of the TURN servers in the answer. */
async function post(connection, { url, token, relays = false }) {
  const offer = await connection.createOffer();
  // The offer without candidates, which the server does not need.
  if (!relays) await connection.setLocalDescription(offer);
  const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/sdp', ...authorization },
    body: offer.sdp,
  });
  const body = await response.text();
  const header = (name) => response.headers.get(name);
  const result = { status: response.status, retryAfter: header('Retry-After'), etag: header('ETag'), link: header('Link'), body };
  if (response.status !== 201) {
    connection.close();
    return result;
  }
  const location = new URL(header('Location'), url).href;
  sessions.set(connection, { location, authorization, etag: result.etag });
  if (relays) {
    connection.setConfiguration({ iceServers: iceServersOf(result.link) });
    await connection.setLocalDescription(offer);
  }
  await connection.setRemoteDescription({ type: 'answer', sdp: body });
  return { ...result, location, index: connections.indexOf(connection) };
}

/** The number of frames that each element has shown. */
const shown = new Map();

/** Shows a received track in an element of the page. */
function show({ track }) {
  const element = Object.assign(document.createElement(track.kind), { autoplay: true, playsInline: true });
  element.muted = true;
  element.srcObject = new MediaStream([track]);
  document.body.append(element);
  if (track.kind === 'audio') return;
  // Firefox has no count of the frames shown of a stream.
  const count = () => {
    shown.set(element, shown.get(element) + 1);
    element.requestVideoFrameCallback(count);
  };
  shown.set(element, 0);
  element.requestVideoFrameCallback(count);
}

async function camera({ video = true, audio = true } = {}) {
  return navigator.mediaDevices.getUserMedia({ video: video && { width: 640, height: 360, frameRate: 15, ...video }, audio });
}

/** Only this codec, and RTX. */
function prefer(transceiver, codec) {
  const { codecs } = RTCRtpReceiver.getCapabilities('video');
  const wanted = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === codec.toLowerCase());
  transceiver.setCodecPreferences([...wanted, ...codecs.filter(({ mimeType }) => mimeType === 'video/rtx')]);
}

/** `codec` is the only one in the offer, `encodings` are those of the video. */
async function publish({ codec, encodings, video, audio, ...endpoint }) {
  const stream = await camera({ video, audio });
  const connection = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    const sendEncodings = track.kind === 'video' ? encodings : undefined;
    const transceiver = connection.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings });
    if (track.kind === 'video' && codec) prefer(transceiver, codec);
  }
  return post(connection, endpoint);
}

/** `kinds` are those of the sections, in order. */
async function play({ kinds = ['audio', 'video'], ...endpoint }) {
  const connection = new RTCPeerConnection();
  connection.addEventListener('track', show);
  for (const kind of kinds) connection.addTransceiver(kind, { direction: 'recvonly' });
  return post(connection, endpoint);
}

/** Ends the session of a connection, and the connection. Returns the status of the answer. */
async function stop(index) {
  const { location, authorization } = sessions.get(connections[index]);
  const { status } = await fetch(location, { method: 'DELETE', headers: authorization });
  connections[index].close();
  return status;
}

/** A request of a page for the session of a connection. */
async function request({ index, path = '', method, headers = {}, body }) {
  const { location, authorization } = sessions.get(connections[index]);
  const response = await fetch(location + path, { method, headers: { ...authorization, ...headers }, body });
  return { status: response.status, etag: response.headers.get('ETag'), body: await response.text() };
}

/**
 * Restarts ICE as RFC 9725 §4.3.3 describes: the fragment has new credentials, and the answer has those of
 * the server.
 */
async function restartIce(index) {
  const connection = connections[index];
  const before = connection.remoteDescription.sdp;
  connection.restartIce();
  await connection.setLocalDescription();
  const line = (sdp, name) => new RegExp(`^a=${name}:.*$`, 'm').exec(sdp)[0].trim();
  const local = connection.localDescription.sdp;
  const fragment = `${line(local, 'ice-ufrag')}\r\n${line(local, 'ice-pwd')}\r\n`;
  const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' };
  const answer = await request({ index, method: 'PATCH', headers, body: fragment });
  if (answer.status !== 200) return answer;
  const replaced = ['ice-ufrag', 'ice-pwd'].reduce(
    (sdp, name) => sdp.replaceAll(new RegExp(`^a=${name}:.*\r$`, 'gm'), `${line(answer.body, name)}\r`),
    before,
  );
  await connection.setRemoteDescription({ type: 'answer', sdp: replaced });
  return answer;
}

/** State and statistics of a connection: one row for each stream. */
async function streams(index) {
  const connection = connections[index];
  const report = await connection.getStats();
  const rows = { state: connection.connectionState, sent: [], received: [], local: undefined, type: undefined };
  for (const stats of report.values()) {
    const codec = report.get(stats.codecId)?.mimeType ?? '';
    const row = { kind: stats.kind, mid: stats.mid, rid: stats.rid ?? '', codec, height: stats.frameHeight ?? 0 };
    if (stats.type === 'outbound-rtp')
      rows.sent.push({ ...row, frames: stats.framesEncoded ?? 0, packets: stats.packetsSent ?? 0 });
    if (stats.type === 'inbound-rtp')
      rows.received.push({
        ...row,
        frames: stats.framesDecoded ?? 0,
        packets: stats.packetsReceived ?? 0,
        lost: stats.packetsLost ?? 0,
        energy: stats.totalAudioEnergy ?? 0,
      });
    // The candidate pair in use, in Firefox and in Chromium.
    const pair = stats.type === 'candidate-pair' && stats.selected ? stats : report.get(stats.selectedCandidatePairId);
    const local = pair && report.get(pair.localCandidateId);
    if (local) [rows.local, rows.type] = [local.usernameFragment, local.candidateType];
  }
  return rows;
}

/** The pictures that the page shows. */
function pictures() {
  return [...document.querySelectorAll('video')].map((video) => ({
    width: video.videoWidth,
    height: video.videoHeight,
    frames: shown.get(video),
  }));
}

window.whip = { publish, play, stop, request, restartIce, streams, pictures, camera, show, connections };
