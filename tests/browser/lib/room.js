// A server, a browser and participants in a room, and all their logs when a test fails.

import { Leat } from './leat.js';
import { launch, Peer } from './peers.js';
import { machineLoad } from './wait.js';

/**
 * Runs the test `body` with a server and peers in a call with each other. `media` is the text of a
 * `media.yml`, `frameRate` that of the cameras, `before` are functions that run in every page before the app,
 * `browserArgs` further arguments of Chromium, `env` additional environment variables of the server. Parts of the body run as `step`, a subtest: after a failed
 * step the next ones still run.
 */
export async function inRoom(t, { names, args = [], media, frameRate, before = [], browserArgs, env }, body) {
  const leat = await Leat.start(args, media, env);
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
  const report = async () => {
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
    await body({ leat, browser, peers, enter, step });
    for (const { name, errors } of peers)
      if (errors.length > 0) throw new Error(`uncaught in the page of ${name}: ${errors.join('; ')}`);
    if (broken) await report();
  } catch (error) {
    await report();
    throw error;
  } finally {
    await browser.close().finally(() => leat.stop());
  }
}
