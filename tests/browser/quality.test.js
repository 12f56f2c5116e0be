// What clients measure of their calls, from the browser to the database: with a relay, and without one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const names = ['Ada', 'Grace'];

/** Runs in the page, before the app: the browser uses only relayed candidates. */
function relayOnly() {
  const Real = RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(configuration = {}) {
      super({ ...configuration, iceTransportPolicy: 'relay' });
    }
  };
}

/** The records of the sessions that have ended, by the titles of `leat quality`. */
function records(leat) {
  const [titles, ...rows] = leat
    .shell('leat quality')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  return rows.map((row) => Object.fromEntries(row.map((value, at) => [titles[at], value])));
}

for (const relayed of ['yes', 'no']) {
  test(`each session of a call has a record at its end, relayed: ${relayed}`, TEST_LIMIT, async (t) => {
    const before = relayed === 'yes' ? [[relayOnly]] : [];
    await inRoom(t, { names, before }, async ({ leat, peers, step }) => {
      await seeAndHear(peers, { frames: 100, lostMax: Number.POSITIVE_INFINITY });
      const ids = await Promise.all(peers.map(({ page }) => page.evaluate(() => window.__leat.store.getState().call.peerId)));
      assert.deepEqual(records(leat), [], 'nobody has left');

      await step('one leaves, and the page of the other closes', async () => {
        const [ada, grace] = peers;
        await ada.press('Leave the call');
        await until('the record of the first', () => records(leat).length === 1);
        await grace.page.close({ runBeforeUnload: false });
        await until('both records', () => records(leat).length === 2);
      });

      await step('the records have plausible values', () => {
        for (const record of records(leat)) {
          const number = (name) => Number(record[name]);
          const text = JSON.stringify(record);
          assert.ok(ids.includes(record.SESSION), text);
          assert.match(record.PARTICIPANT, /^participant:./, text);
          assert.equal(record.ROOM, 'millpond', text);
          assert.equal(record.RELAYED, relayed, text);
          assert.ok(number('JOIN_MS') > 0 && number('JOIN_MS') < 60_000, text);
          assert.ok(number('FIRST_FRAME_MS') > 0 && number('FIRST_FRAME_MS') < 120_000, text);
          assert.ok(number('RECEIVED') > 100, text);
          assert.ok(number('LOST') >= 0 && number('LOST') <= number('RECEIVED'), text);
          assert.ok(number('ROUND_TRIP_US') > 0 && number('ROUND_TRIP_US') < 10_000_000, text);
          assert.ok(number('MOS') >= 1 && number('MOS') <= 4.5, text);
          assert.ok(number('FREEZES') >= 0, text);
        }
      });
    });
  });
}
