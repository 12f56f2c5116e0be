// A server, a browser and people in a room, and the logs of all of them when a test fails.

import { Leat } from './leat.js';
import { launch, Peer } from './peers.js';
import { machineLoad } from './wait.js';

/**
 * Runs `story` with a server and people who are in a call with each other. `media` is the text of a `media.yml`, `frameRate` that of the cameras, `before` what runs in every page before the app, `browserArgs` more of Chromium's arguments. Parts of a story are told by `step`, a subtest: a failed one lets
 * the next ones run.
 */
export async function inRoom(t, { names, args = [], media, frameRate, before = [], browserArgs }, story) {
  const leat = await Leat.start(args, media);
  const browser = await launch({ frameRate, args: browserArgs });
  const room = 'millpond';
  const peers = [];
  let broken = false;
  const step = (name, part) =>
    t.test(name, async () => {
      try {
        await part();
      } catch (error) {
        broken = true;
        throw error;
      }
    });
  const tell = async () => {
    for (const peer of peers) {
      const history = await peer.history().catch(() => []);
      t.diagnostic(
        `--- ${peer.name}\n${history.map(({ at, what }) => `${new Date(at).toISOString().slice(11, 23)} ${what}`).join('\n')}`,
      );
    }
    t.diagnostic(`--- leat up\n${leat.log}`);
    t.diagnostic(`--- machine\n${machineLoad()}`);
  };
  const enter = async (name, options = {}) => {
    const peer = await Peer.open(browser, leat.url, { room, name, ...options });
    peers.push(peer);
    return peer;
  };
  try {
    for (const name of names) await (await enter(name, { before })).connected();
    await Promise.all(peers.map((peer) => peer.receives(names.filter((name) => name !== peer.name))));
    await story({ leat, browser, peers, enter, step });
    for (const { name, errors } of peers)
      if (errors.length > 0) throw new Error(`uncaught in the page of ${name}: ${errors.join('; ')}`);
    if (broken) await tell();
  } catch (error) {
    await tell();
    throw error;
  } finally {
    await browser.close().finally(() => leat.stop());
  }
}
