// End-to-end encryption as the web app does it, for tests.

import { until } from './wait.js';

/** For `Peer.open`: the link demands encryption. */
export const encrypted = { encrypted: true };

/** What the app shows of another participant: state, safety number and trust; null if the call is not encrypted. */
export const encryptionWith = (peer, name) =>
  peer.page.evaluate(
    (name) => window.__leat.store.getState().call?.peers.find((other) => other.name === name)?.encryption ?? null,
    name,
  );

/** Frames of another participant: how many were decrypted, and how many were not, by the reason. */
export const framesOf = (peer, name) =>
  peer.page.evaluate((name) => {
    const { store, call } = window.__leat;
    const other = store.getState().call?.peers.find((other) => other.name === name);
    return (other && call.encryptionCounts(other.id)) ?? { opened: 0, malformed: 0, unknownKey: 0, wrongKey: 0 };
  }, name);

/** The peers have each other's keys. */
export async function haveKeys(...peers) {
  for (const peer of peers) {
    for (const other of peers) {
      if (other === peer) continue;
      await until(`${peer.name} has a key of ${other.name}`, async () => {
        const encryption = await encryptionWith(peer, other.name);
        return encryption?.state === 'encrypted' && encryption.safetyNumber !== null;
      });
    }
  }
}

/** The number of frames that a peer without the keys has decoded once packets arrive. */
export async function framesWithoutKey(peer, name) {
  const row = () => peer.stream(name, 'video');
  await until(`${peer.name} receives`, async () => (await row())?.packets > 30);
  return (await row()).frames;
}

/** Runs in the page, before the app: keeps the keys that the page gives to its worker, in `window.frameKeys`. */
export function recordKeys() {
  const kept = [];
  window.frameKeys = kept;
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message, ...rest) {
    const { do: what, peerId, epoch, key } = message ?? {};
    if (what === 'setSendKey' || what === 'setReceiveKey') kept.push({ what, peerId, epoch, key: [...key] });
    return postMessage.call(this, message, ...rest);
  };
}

/** The keys so far with which a peer encrypts, or those of another one with which it decrypts. */
export async function keysOf(peer, from) {
  const kept = await peer.page.evaluate(() => window.frameKeys);
  const wanted = kept.filter(({ what, peerId }) => (from === undefined ? what === 'setSendKey' : peerId === from));
  return wanted.map(({ epoch, key }) => ({ epoch, key: Buffer.from(key) }));
}
