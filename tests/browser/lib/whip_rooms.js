// The start of a file of tests of WHIP and WHEP: a site of another origin, a server and Chromium for all its tests, and
// a room for each test.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Leat } from './leat.js';
import { launch, Peer } from './peers.js';
import { Site } from './site.js';
import { machineLoad, TEST_LIMIT, until } from './wait.js';
import { WhipPage } from './whip.js';

/** Four seconds of the camera. */
export const FRAMES = 60;
/** Packets of audio: two seconds. */
export const PACKETS = 100;

export class WhipRooms {
  site;
  leat;
  browser;
  #rooms = 0;

  /** `args` are those of the server, `frameRate` is that of the cameras. */
  constructor({ args, frameRate } = {}) {
    before(async () => {
      this.site = await Site.start();
      this.leat = await Leat.start(args);
      this.browser = await launch({ frameRate });
    });
    after(async () => {
      await this.browser?.close();
      this.site?.stop();
      await this.leat?.stop();
    });
  }

  /**
   * A test in its own room. `body` gets `page(name)`, which opens a page of the site, `peer(name, options)`, which
   * joins in the web app, and the URLs `whip(name)` and `whep(query)`. These pages, and those given to `keep`, are
   * closed afterwards; an error in one of them that none of `uncaught` matches is a failure.
   */
  test(name, body, { uncaught = [] } = {}) {
    test(name, TEST_LIMIT, async (t) => {
      this.#rooms += 1;
      const room = `room-${this.#rooms}`;
      const endpoint = (path, query = {}) => `${this.leat.url}/${path}/${room}?${new URLSearchParams(query)}`;
      const opened = [];
      const keep = async (opening) => {
        const one = await opening;
        opened.push(one);
        return one;
      };
      try {
        await body({
          t,
          room,
          keep,
          page: (name) => keep(WhipPage.open(this.browser, this.site, name)),
          peer: async (name, options) => {
            const peer = await keep(Peer.open(this.browser, this.leat.url, { room, name, ...options }));
            await peer.connected();
            return peer;
          },
          whip: (name) => endpoint('whip', { name }),
          whep: (query) => endpoint('whep', query),
        });
        for (const { name, errors } of opened) {
          const unexpected = errors.filter((error) => !uncaught.some((pattern) => pattern.test(error)));
          assert.deepEqual(unexpected, [], `uncaught in the page of ${name}`);
        }
      } catch (error) {
        for (const { name, errors } of opened) t.diagnostic(`--- ${name}\n${errors.join('\n')}`);
        t.diagnostic(`--- leat up\n${this.leat.log}\n--- machine\n${machineLoad()}`);
        throw error;
      } finally {
        await Promise.all(opened.map((one) => one.close()));
      }
    });
  }
}

/** A viewer in the web app decodes `FRAMES` more frames of that peer, and receives `PACKETS` of audio that is not silence. */
export async function sees(viewer, name) {
  await viewer.receives([name]);
  const rows = async () => ({ video: await viewer.stream(name, 'video'), audio: await viewer.stream(name, 'audio') });
  const start = await rows();
  let now = start;
  await until('', async () => {
    now = await rows();
    const [frames, packets] = [now.video?.frames - start.video.frames, now.audio?.packets - start.audio.packets];
    return frames >= FRAMES && packets >= PACKETS && now.audio.energy > start.audio.energy;
  }).catch(() => {
    throw new Error(`${viewer.name} should decode ${FRAMES} frames of ${name}, and sound: ${JSON.stringify({ start, now })}`);
  });
  return now;
}

export const isGone = (viewer, name, timeoutMs) =>
  until(`${viewer.name} sees that ${name} left`, async () => !(await viewer.tiles()).includes(name), { timeoutMs });
