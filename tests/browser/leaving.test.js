// A client whose tab is closed is removed, even if the last message on its socket is lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

/** Runs in the page, before the app: once the page is hidden, its sockets drop all messages. */
function loseLastWords() {
  const { send } = WebSocket.prototype;
  let hidden = false;
  window.addEventListener('pagehide', () => {
    hidden = true;
  });
  WebSocket.prototype.send = function (...args) {
    if (!hidden) send.apply(this, args);
  };
  WebSocket.prototype.close = () => undefined;
}

test('a closed tab is removed although its socket sends nothing', TEST_LIMIT, async (t) => {
  await inRoom(t, { names: ['Ada'] }, async ({ leat, peers, enter }) => {
    const [ada] = peers;
    const grace = await enter('Grace', { before: [[loseLastWords]] });
    await grace.connected();
    await until('Ada sees Grace', async () => (await ada.tiles()).join() === 'Grace');
    await grace.page.close({ runBeforeUnload: false });
    peers.splice(peers.indexOf(grace), 1);
    await until('Ada is alone', async () => (await ada.tiles()).length === 0);
    assert.match(leat.log, /a peer left: its page was closed/);
    assert.doesNotMatch(leat.log, /a peer did not return in time/);
  });
});
