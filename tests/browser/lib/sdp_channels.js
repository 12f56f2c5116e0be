// Pages with data channels over the SDP flow, and one with a `Call`: each has `say(text)`, and `heard()` lists what has
// arrived as `{from, label, data}`, with the name of the peer that sent it.

import assert from 'node:assert/strict';
import { PATIENCE_MS, until } from './wait.js';

const BEGIN = `
import { Call, PeerConnection, SignalChannel } from './leat.js';
const { url, room, displayName } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const messages = [];
const names = new Map();
const hear = (from, label, data) => messages.push({ from, label, data });
window.heard = () => messages.map(({ from, ...message }) => ({ from: names.get(from), ...message }));
window.failed = [];
`;

/** The class of the SDK. */
const PEER = `${BEGIN}
const senders = new Map();
let peer;
window.opened = [];
window.ended = [];
const onNotification = (payload) => {
  peer?.receive(payload);
  const { case: name, value } = payload;
  if (name === 'peerJoined') names.set(value.peer.id, value.peer.displayName);
  if (name === 'dataConsumerCreated') senders.set(value.sctpStreamParameters.streamId, value.peerId);
};
/** Offers what has changed; resolves when the answer is applied. */
window.negotiate = async () => {
  peer.setLocalDescription(await peer.createOffer());
  await new Promise((done) => {
    peer.connection.addEventListener('signalingstatechange', function wait() {
      if (peer.connection.signalingState !== 'stable') return;
      peer.connection.removeEventListener('signalingstatechange', wait);
      done();
    });
  });
};
window.openChannel = (label, options) => {
  const made = options ? peer.connection.createDataChannel(label, options) : peer.createDataChannel(label);
  made.onopen = () => window.opened.push(label);
  made.onclose = () => window.ended.push(label);
  return made;
};
window.transports = async () =>
  [...(await peer.connection.getStats()).values()].filter(({ type }) => type === 'transport').length;
const onUp = async () => {
  const joined = await channel.request({ case: 'joinRoom', value: { room, displayName } }, 'joined');
  peer = new PeerConnection(channel);
  window.peer = peer;
  peer.addEventListener('error', ({ error }) => window.failed.push(error.message));
  peer.connection.ondatachannel = ({ channel: from }) => {
    from.onmessage = ({ data }) => hear(senders.get(from.id), from.label, data);
    from.onclose = () => window.ended.push('in ' + from.label);
    (window.incoming ??= []).push(from);
  };
  for (const { id, displayName } of joined.peers) names.set(id, displayName);
  window.hasJoined = true;
};
window.join = async () => {
  const chat = window.openChannel('chat');
  window.say = (text) => chat.send(text);
  await window.negotiate();
};
const channel = new SignalChannel(url, { onUp, onNotification }).open();
window.channel = channel;
`;

const CALL = `${BEGIN}
const onView = ({ peers, session }) => {
  for (const { id, name } of peers) names.set(id, name);
  window.hasJoined = session === 'Negotiating' || session === 'Connected';
};
const onNotice = (message) => window.failed.push(message);
const call = new Call({ room, displayName, url }, { onView, onNotice, onData: hear });
window.call = call;
window.join = async () => {
  const chat = call.openChannel('chat');
  window.say = (text) => chat.send(text);
};
call.join();
`;

/** For `Pages.start`. */
export const CHANNEL_PAGES = { peer: PEER, call: CALL };

/** A page of this kind in its room. */
export async function openPeer(browser, pages, url, kind, { room, name }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(`${name}: ${error.message}`));
  const values = { url, room, displayName: name };
  await page.goto(`${pages.origin}/${kind}#${encodeURIComponent(JSON.stringify(values))}`);
  await until(`${name} has joined`, () => page.evaluate(() => window.hasJoined));
  return page;
}

const heard = (page) => page.evaluate(() => window.heard());

/**
 * `from` sends on its channel until `to` has a message of it: what is sent before the receiver has the channel does not
 * arrive. Then one more, which arrives once.
 */
export async function reaches(from, to, name, text) {
  const of = async (wanted) => (await heard(to)).filter((message) => message.from === name && message.data === wanted);
  await until(`a message of ${name} arrives`, async () => {
    await from.evaluate((text) => window.say(`${text}?`), text).catch(() => {});
    return (await of(`${text}?`)).length > 0;
  });
  await from.evaluate((text) => window.say(text), text);
  await until(`the message of ${name} arrives`, async () => (await of(text)).length > 0);
  assert.deepEqual(await of(text), [{ from: name, label: 'chat', data: text }]);
}

/** Each of the pages has messages of each other one. */
export async function reachEachOther(members, round) {
  const all = Object.entries(members);
  for (const [name, from] of all)
    for (const [other, to] of all) if (other !== name) await reaches(from, to, name, `${round}: ${name} to ${other}`);
}
