// End-to-end encryption as an application would do it: a worker encrypts every encoded frame before the
// browser packetizes it, and another decrypts it before the decoder.

const WORKER = '/encryption-worker.js';
/** The same for both peers; AES-128. */
const KEY = Array.from({ length: 16 }, (_, index) => index);

/**
 * For `Peer.open`: sent frames are encrypted immediately; received frames are unchanged until the peer has
 * the key.
 */
export const encrypted = {
  before: [[transformMedia, { path: WORKER, key: KEY }]],
  served: { [WORKER]: `(${worker})();` },
};

/** Gives a peer the key, so that it can see and hear. */
export const giveKey = (peer) => peer.page.evaluate(() => window.giveKey());

/** Number of frames that a peer has decrypted so far. */
export const framesOpened = (peer) => peer.page.evaluate(() => window.framesOpened());

/** Runs in the page, before the app. */
function transformMedia({ path, key }) {
  let worker = null;
  let opened = 0;
  const start = () => {
    worker ??= new Worker(path);
    worker.onmessage = ({ data }) => {
      opened = data;
    };
    return worker;
  };
  window.framesOpened = () => opened;
  window.giveKey = () => start().postMessage(new Uint8Array(key));

  // mediasoup-client removes the dependency descriptor from its answers for VP8 and VP9, although it has
  // offered it to the server.
  const withDescriptor = ({ type, sdp }, offer) => {
    const line = offer.match(/^a=extmap:\d+ \S+#dependency-descriptor-rtp-header-extension$/m)?.[0];
    if (type !== 'answer' || !line || sdp.includes(line)) return { type, sdp };
    return { type, sdp: sdp.replace(/^m=video(.*\r\n)(?:[a-z]=(?!extmap).*\r\n)*/m, `$&${line}\r\n`) };
  };
  const { addTransceiver, setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function (...args) {
    const transceiver = addTransceiver.apply(this, args);
    transceiver.sender.transform = new RTCRtpScriptTransform(start(), { seal: true, key: new Uint8Array(key) });
    return transceiver;
  };
  RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
    await setRemoteDescription.call(this, withDescriptor(description, this.localDescription?.sdp ?? ''));
    for (const { receiver, sender } of this.getTransceivers()) {
      if (sender.track || receiver.transform) continue;
      receiver.transform = new RTCRtpScriptTransform(start(), { seal: false });
    }
  };
}

/**
 * Runs as the worker: no byte of a frame stays readable, not even the first. An encrypted frame is a nonce
 * and the output of AES-GCM. For AV1 these are put into one OBU, because browsers split AV1 at its OBUs and
 * drop frames without any.
 */
function worker() {
  const NONCE_LEN = 12;
  const imported = (key) => crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']);
  const HEADER_LEN = 1;
  /** An OBU of type frame with a size field (AV1 §5.3.2). */
  const HEADER = 0x32;
  let openingKey = null;
  let opened = 0;
  globalThis.onmessage = ({ data }) => {
    openingKey = imported(data);
  };

  const isAv1 = (frame) => frame.getMetadata().mimeType?.toLowerCase() === 'video/av1';
  const obu = (content) => {
    const leb128 = [];
    for (let rest = content.length; leb128.length === 0 || rest > 0; rest >>= 7)
      leb128.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    const data = new Uint8Array(HEADER_LEN + leb128.length + content.length);
    data.set([HEADER, ...leb128]);
    data.set(content, HEADER_LEN + leb128.length);
    return data;
  };
  const contentAt = (buffer) => {
    const bytes = new Uint8Array(buffer);
    let at = HEADER_LEN;
    while (bytes[at] & 0x80) at += 1;
    return at + 1;
  };

  const seal = (key) => async (frame, controller) => {
    const iv = crypto.getRandomValues(new Uint8Array(NONCE_LEN));
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await key, frame.data));
    const data = new Uint8Array(NONCE_LEN + sealed.length);
    data.set(iv);
    data.set(sealed, NONCE_LEN);
    frame.data = (isAv1(frame) ? obu(data) : data).buffer;
    controller.enqueue(frame);
  };
  const open = async (frame, controller) => {
    const key = await openingKey;
    if (key) {
      const data = new Uint8Array(frame.data).subarray(isAv1(frame) ? contentAt(frame.data) : 0);
      const iv = data.subarray(0, NONCE_LEN);
      frame.data = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, data.subarray(NONCE_LEN));
      opened += 1;
      postMessage(opened);
    }
    controller.enqueue(frame);
  };
  globalThis.onrtctransform = ({ transformer: { options, readable, writable } }) => {
    const transform = options.seal ? seal(imported(options.key)) : open;
    void readable.pipeThrough(new TransformStream({ transform })).pipeTo(writable);
  };
}
