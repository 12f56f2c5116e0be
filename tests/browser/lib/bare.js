// Pages with a bare RTCPeerConnection: the block of code of docs/sdp.md.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { payloadsOf } from './client.js';
import { LOOPBACK, LOOPBACK_HOST } from './family.js';
import { ROOT } from './leat.js';
import { CAPTURE } from './peers.js';
import { buildSdk } from './sdk.js';
import { PATIENCE_MS, until } from './wait.js';

/** A block of code of docs/sdp.md. */
function blockOf(name) {
  const [, code] = readFileSync(join(ROOT, 'docs/sdp.md'), 'utf8').split(`\n\`\`\`js ${name}\n`);
  assert.ok(code, `docs/sdp.md has no block ${name}`);
  return code.split('\n```\n')[0];
}

/** The block with the flow. */
export const BLOCK = blockOf('sdp.js');

/** The same with the other handler of the page, which resumes. */
function resuming() {
  const code = BLOCK.replace(/^const onUp = .*$/m, blockOf('resume.js'));
  assert.match(code, /resume/);
  return code;
}

/** The same with the other lines of the page, for data channels. */
function chatting() {
  const code = BLOCK.replace(/^const publish = .*$/m, blockOf('data.js'));
  assert.match(code, /createDataChannel/);
  return code;
}

const page = (script) => `<!doctype html><title>SDP flow</title><script type="module" src="${script}"></script>`;

/** What the block needs of its page. */
const before = `
const { url, room, displayName, token, video, publishes } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
const tracks = publishes ? stream.getTracks() : [];
const shown = [];
const show = (track, stream) => {
  const element = Object.assign(document.createElement(track.kind), { autoplay: true });
  element.srcObject = new MediaStream([track]);
  document.body.append(element);
  shown.push({ track, from: stream.id });
};
`;

/** What those lines need besides. */
const beforeChatting = `
window.heard = [];
const hear = (...message) => window.heard.push(message);
const ready = (chat) => (window.say = (text) => chat.send(text));
`;

/** What the test reads. */
const after = `
;Object.assign(window, { pc, channel, stream, shown, published: [] });
window.negotiate = (transceiver, extension) => {
  const extensions = transceiver.getHeaderExtensionsToNegotiate();
  for (const one of extensions.filter(({ uri }) => uri.includes(extension))) one.direction = 'sendrecv';
  transceiver.setHeaderExtensionsToNegotiate(extensions);
};
`;

/** What the test reads of a page that resumes. */
const afterResuming = `${after}
window.joinedAs = () => joined?.peerId;
window.mark = () => (window.marked = joined);
window.hasResumed = () => joined !== window.marked;
`;

/** The server of the pages. */
export class Pages {
  #server;
  origin;

  /** `others`: further pages by name, with their scripts. */
  static async start(others = {}) {
    const files = {
      '/': ['text/html', page('/sdp.js')],
      '/resuming': ['text/html', page('/resuming.js')],
      '/chatting': ['text/html', page('/chatting.js')],
      '/leat.js': ['text/javascript', buildSdk()],
      '/sdp.js': ['text/javascript', before + BLOCK + after],
      '/chatting.js': ['text/javascript', before + beforeChatting + chatting() + after],
      '/resuming.js': ['text/javascript', before + resuming() + afterResuming],
    };
    for (const [name, script] of Object.entries(others)) {
      files[`/${name}`] = ['text/html', page(`/${name}.js`)];
      files[`/${name}.js`] = ['text/javascript', script];
    }
    const pages = new Pages();
    pages.#server = createServer((request, response) => {
      const [type, body] = files[new URL(request.url, 'http://page').pathname] ?? [];
      response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': type ?? 'text/plain' }).end(body);
    });
    pages.#server.listen(0, LOOPBACK);
    await once(pages.#server, 'listening');
    pages.origin = `http://${LOOPBACK_HOST}:${pages.#server.address().port}`;
    return pages;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A page. */
export class Bare {
  name;
  page;
  errors = [];
  /** The messages of its channel over WebSockets: `{at, from: 'page' | 'server', case, value}`. */
  messages = [];

  /**
   * `publishes`: camera and microphone from the start. `video`: the constraints of the camera. `resumes`: the page
   * resumes after its socket was lost. `chats`: it has a data channel.
   */
  static async open(browser, pages, url, options) {
    const { room, name, token = '', publishes = true, video = CAPTURE, resumes = false, chats = false } = options;
    const bare = new this();
    bare.name = name;
    await bare.openPage(browser);
    const values = { url, room, displayName: name, token, video, publishes };
    const path = resumes ? 'resuming' : chats ? 'chatting' : '';
    await bare.page.goto(`${pages.origin}/${path}#${encodeURIComponent(JSON.stringify(values))}`);
    await until(`${name} has joined`, () => bare.messages.some((message) => message.case === 'joined'));
    return bare;
  }

  /** Opens an empty page in its own context, whose messages are noted. */
  async openPage(browser) {
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
    this.page = await context.newPage();
    this.page.setDefaultTimeout(PATIENCE_MS);
    this.page.on('pageerror', (error) => this.errors.push(error.message));
    this.page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => this.note('page', payload));
      socket.on('framereceived', ({ payload }) => this.note('server', payload));
    });
  }

  /** Keeps the messages of a frame of the socket. */
  note(from, payload) {
    if (typeof payload === 'string') return;
    for (const { case: name, value } of payloadsOf(payload)) this.messages.push({ at: Date.now(), from, case: name, value });
  }

  close() {
    return this.page.context().close();
  }

  /** The id of its peer. */
  get id() {
    return this.messages.findLast((message) => message.case === 'joined')?.value.peerId;
  }

  /** Runs `change`, and waits until the page has joined again. */
  async resumes(change) {
    await this.page.evaluate(() => window.mark());
    await change();
    await until(`${this.name} has resumed`, () => this.page.evaluate(() => window.hasResumed()));
    assert.equal(await this.page.evaluate(() => window.joinedAs()), this.id, 'another peer');
  }

  /** The id of another peer with this name. */
  idOf(name) {
    return until(`${this.name} knows ${name}`, () => {
      const peers = this.messages.flatMap(({ case: kind, value }) => {
        if (kind === 'joined') return value.peers;
        return kind === 'peerJoined' ? [value.peer] : [];
      });
      return peers.findLast((peer) => peer.displayName === name)?.id;
    });
  }

  /** Number of messages of this kind. */
  count(from, name) {
    return this.messages.filter((message) => message.from === from && message.case === name).length;
  }

  /** Number of offers of the server that arrived while one of the page waited for its answer. */
  get voidOffers() {
    let isWaiting = false;
    let count = 0;
    for (const { from, case: name } of this.messages) {
      if (from === 'page' && name === 'offer') isWaiting = true;
      if (from === 'server' && name === 'answer') isWaiting = false;
      if (from === 'server' && name === 'offer' && isWaiting) count += 1;
    }
    return count;
  }

  /** The messages as lines, for a person. */
  get log() {
    const line = ({ at, from, case: name, value }) => {
      const sections = value.sdp?.match(/^m=.*|^a=mid:.*|^a=(sendrecv|sendonly|recvonly|inactive)|^o=.*/gm)?.join(' ') ?? '';
      return `${new Date(at).toISOString().slice(11, 23)} ${from}: ${name} ${value.message ?? sections}`;
    };
    return this.messages.map(line).join('\n');
  }

  /**
   * Publishes a copy of the camera or microphone on a new section. `codec` is for example "VP8", `encodings` those of
   * the sender, `extension` a part of the URI of a header extension that the browser does not offer by itself.
   * Returns its number, for `unpublish`.
   */
  publish(kind, { codec, encodings, extension } = {}) {
    return this.page.evaluate(
      ({ kind, codec, encodings, extension }) => {
        const [track] = stream.getTracks().filter((track) => track.kind === kind);
        const transceiver = pc.addTransceiver(track.clone(), {
          direction: 'sendonly',
          streams: [stream],
          sendEncodings: encodings ?? [{}],
        });
        // A busy CPU reduces the frame rate, not the height.
        const parameters = transceiver.sender.getParameters();
        if (kind === 'video')
          void transceiver.sender.setParameters({ ...parameters, degradationPreference: 'maintain-resolution' });
        if (codec !== undefined) {
          const { codecs } = RTCRtpSender.getCapabilities(kind);
          const is = ({ mimeType }) => mimeType.toLowerCase() === `${kind}/${codec}`.toLowerCase();
          const others = codecs.filter(({ mimeType }) => /rtx|red|ulpfec|flexfec/.test(mimeType));
          transceiver.setCodecPreferences([...codecs.filter(is), ...others]);
        }
        if (extension !== undefined) window.negotiate(transceiver, extension);
        return published.push(transceiver) - 1;
      },
      { kind, codec, encodings, extension },
    );
  }

  /**
   * The same, in an offer with this entry of `Offer.tracks`. From then on the page makes offers only by this
   * function.
   */
  async publishAs(kind, entry, options = {}) {
    await this.page.evaluate(() => {
      pc.onnegotiationneeded = null;
    });
    const index = await this.publish(kind, options);
    await this.page.evaluate(
      async ({ index, entry }) => {
        await pc.setLocalDescription();
        const tracks = [{ mid: published[index].mid, ...entry }];
        const answer = await channel.request({ case: 'offer', value: { sdp: pc.localDescription.sdp, tracks } }, 'answer');
        await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
      },
      { index, entry },
    );
    return index;
  }

  /** Ends what is sent on these transceivers. `stop`: with their sections. */
  unpublish(indices, { stop = false } = {}) {
    return this.page.evaluate(
      async ({ indices, stop }) => {
        for (const transceiver of indices.map((index) => published[index])) {
          // Chromium needs negotiation without end after the stop of a transceiver that was in no description.
          for (let waits = 0; stop && transceiver.mid === null; waits += 1) {
            if (waits === 3_000) throw new Error('a track is in no description');
            await new Promise((done) => setTimeout(done, 10));
          }
          transceiver.sender.track?.stop();
          if (stop) transceiver.stop();
          else pc.removeTrack(transceiver.sender);
        }
      },
      { indices, stop },
    );
  }

  /** Asks for tracks of others only. `extension` as for `publish`, for video. */
  play({ extension } = {}) {
    return this.page.evaluate((extension) => {
      for (const kind of ['audio', 'video']) {
        const transceiver = pc.addTransceiver(kind, { direction: 'recvonly' });
        if (kind === 'video' && extension !== undefined) window.negotiate(transceiver, extension);
      }
    }, extension);
  }

  /** Received streams that the connection plays: one row a stream. */
  received() {
    return this.page.evaluate(async () => {
      const rows = [];
      for (const { mid, receiver, currentDirection } of pc.getTransceivers()) {
        if (!/recv/.test(currentDirection ?? '')) continue;
        const report = await receiver.getStats();
        const stats = [...report.values()].find(({ type }) => type === 'inbound-rtp');
        const { kind, id } = receiver.track;
        rows.push({
          from: shown.findLast(({ track }) => track.id === id)?.from ?? '',
          mid,
          kind,
          packets: stats?.packetsReceived ?? 0,
          frames: stats?.framesDecoded ?? 0,
          energy: stats?.totalAudioEnergy ?? 0,
          height: stats?.frameHeight ?? 0,
          codec: report.get(stats?.codecId)?.mimeType ?? '',
          mode: stats?.scalabilityMode ?? '',
        });
      }
      return rows;
    });
  }

  /** State of the transport. */
  transport() {
    return this.page.evaluate(async () => {
      const report = await pc.getStats();
      const transports = [...report.values()].filter(({ type }) => type === 'transport');
      const pair = report.get(transports[0]?.selectedCandidatePairId);
      return {
        count: transports.length,
        state: pc.connectionState,
        ufrag: /^a=ice-ufrag:(.*)$/m.exec(pc.currentLocalDescription?.sdp ?? '')?.[1].trim(),
        remoteUfrag: /^a=ice-ufrag:(.*)$/m.exec(pc.currentRemoteDescription?.sdp ?? '')?.[1].trim(),
        certificate: transports[0]?.remoteCertificateId,
        dtls: transports[0]?.dtlsState,
        pair: pair?.id,
        bytesSent: transports[0]?.bytesSent,
      };
    });
  }

  /** Number of sections of the last description. */
  sections() {
    return this.page.evaluate(() => pc.currentLocalDescription?.sdp.match(/^m=/gm).length ?? 0);
  }
}
