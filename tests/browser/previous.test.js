// The web app of the previous commit with this server: a call with a participant who uses this commit's app.

import { test } from 'node:test';
import { seeAndHear } from './lib/meeting.js';
import { buildApp, previousCommit } from './lib/previous.js';
import { inRoom } from './lib/room.js';
import { TEST_LIMIT, until } from './lib/wait.js';

test('the app of the previous commit: a call with this one', TEST_LIMIT, async (t) => {
  const commit = previousCommit();
  if (commit === null) return t.skip('this clone has no previous commit');
  const app = buildApp(commit);
  try {
    await inRoom(t, { names: ['Ada'] }, async ({ leat, peers, enter, step }) => {
      const old = await enter('Grace', { app: app.files });
      await old.connected();
      await step('both see and hear each other', () => seeAndHear(peers, { frames: 50 }));

      await step('both return after signaling was replaced', async () => {
        const dead = leat.crash('leat-signaling');
        await until('leat up starts signaling again', () => ![null, dead].includes(leat.pidOf('leat-signaling')));
        for (const peer of peers) await until(`the socket of ${peer.name} is back`, () => peer.online());
        await seeAndHear(peers, { frames: 50 });
      });

      await step('a mute reaches the other side', async () => {
        const tile = peers[0].tileOf('Grace');
        await old.press('Mute microphone');
        await until('Ada sees that Grace is muted', async () => (await tile.getAttribute('data-muted')) === 'true');
      });
    });
  } finally {
    app.remove();
  }
});
