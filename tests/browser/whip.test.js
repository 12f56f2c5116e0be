// Clients of WHIP and WHEP in Chromium: bare connections, and the clients of npm packages, unmodified. The
// pages come from another origin than Leat.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { CAPTURE_720, withoutDevices } from './lib/peers.js';
import { PATIENCE_MS, until } from './lib/wait.js';
import { assertProblem, linksOf, SDP } from './lib/whip.js';
import { FRAMES, isGone, sees, WhipRooms } from './lib/whip_rooms.js';

const rooms = new WhipRooms({ frameRate: CAPTURE_720.frameRate });

for (const codec of ['video/VP8', 'video/H264', 'video/VP9', 'video/AV1']) {
  rooms.test(`a page publishes ${codec} by WHIP, the web app and a WHEP player decode it`, async ({ page, peer, whip, whep }) => {
    const camera = await page('Camera');
    await camera.publish(whip('Camera'), { codec });
    const ada = await peer('Ada', { camera: [withoutDevices] });
    const player = await page('Player');
    await player.play(whep());
    const [{ video }, { received }] = await Promise.all([
      sees(ada, 'Camera'),
      player.receives({ frames: FRAMES }),
      player.shows(),
    ]);
    assert.equal(video.codec, codec);
    assert.equal(received.find(({ kind }) => kind === 'video').codec, codec);

    assert.equal(await player.stop(), 200);
    assert.equal(await camera.stop(), 200);
    await isGone(ada, 'Camera');
  });
}

rooms.test('the client of Eyevinn publishes, and a peer of the web app decodes it', async ({ page, peer, whip }) => {
  const camera = await page('Camera');
  const ingest = (noTrickleIce) =>
    camera.run(
      async ({ endpoint, noTrickleIce }) => {
        const client = new window.clients.EyevinnClient({ endpoint, opts: { iceServers: [], noTrickleIce } });
        window.client = client;
        await client.ingest(await window.whip.camera());
      },
      { endpoint: whip('Camera'), noTrickleIce },
    );
  const ada = await peer('Ada', { camera: [withoutDevices] });
  for (const noTrickleIce of [true, false]) {
    await ingest(noTrickleIce);
    await sees(ada, 'Camera');
    const session = await camera.run(() => window.client.getResourceUrl());
    await camera.run(() => window.client.destroy());
    await isGone(ada, 'Camera');
    await assertProblem(await fetch(session, { method: 'DELETE' }), 404);
  }
});

/** The player of the package sends its candidates without an entity tag, which the server refuses. */
const PLAYER_PATCH = /Request rejected with status 428/;

rooms.test(
  'the clients of whip-whep publish and play',
  async ({ page, peer, whip, whep }) => {
    const camera = await page('Camera');
    await camera.run(async (url) => {
      const connection = new RTCPeerConnection();
      const stream = await window.whip.camera();
      for (const track of stream.getTracks()) connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
      window.client = new window.clients.WHIPClient();
      await window.client.publish(connection, url);
    }, whip('Camera'));
    const ada = await peer('Ada', { camera: [withoutDevices] });
    await sees(ada, 'Camera');

    const player = await page('Player');
    await player.run(async (url) => {
      const connection = new RTCPeerConnection();
      connection.addEventListener('track', window.whip.show);
      connection.addTransceiver('audio', { direction: 'recvonly' });
      connection.addTransceiver('video', { direction: 'recvonly' });
      window.client = new window.clients.WHEPClient();
      await window.client.view(connection, url);
    }, whep());
    await Promise.all([player.receives({ frames: FRAMES }), player.shows()]);

    for (const one of [player, camera]) await one.run(() => window.client.stop());
    await isGone(ada, 'Camera');
  },
  { uncaught: [PLAYER_PATCH] },
);

rooms.test('a page of whip-whep uses the TURN servers of the answer', async ({ page, whip }) => {
  const camera = await page('Camera');
  const servers = await camera.run(async (url) => {
    const connection = new RTCPeerConnection();
    const stream = await window.whip.camera();
    for (const track of stream.getTracks()) connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    window.client = new window.clients.WHIPClient();
    await window.client.publish(connection, url);
    const { iceServers } = connection.getConfiguration();
    await window.client.stop();
    return iceServers;
  }, whip('Camera'));
  assert.ok(servers.length > 0);
  for (const { urls, username, credential } of servers) {
    assert.match(String(urls), /^turns?:/);
    assert.ok(username && credential);
  }
});

rooms.test('an ICE restart of a publisher keeps its streams', async ({ page, peer, whip }) => {
  const camera = await page('Camera');
  await camera.publish(whip('Camera'));
  const ada = await peer('Ada', { camera: [withoutDevices] });
  await sees(ada, 'Camera');
  const before = await camera.streams();
  const answer = await camera.run(() => window.whip.restartIce(0));
  assert.equal(answer.status, 200, answer.body);
  await until('the new candidate pair is in use', async () => {
    const { local } = await camera.streams();
    return local !== undefined && local !== before.local;
  });
  await sees(ada, 'Camera');
  assert.equal((await camera.streams()).state, 'connected');
});

rooms.test('a peer of the web app is seen by a WHEP player', async ({ page, peer, whep }) => {
  await peer('Ada');
  const player = await page('Player');
  const { link } = await player.play(whep());
  assert.ok(linksOf(link).some(({ rel }) => rel === 'urn:ietf:params:whep:ext:core:layer'));
  await Promise.all([player.receives({ frames: FRAMES }), player.shows()]);
});

rooms.test('a player that starts before the second publisher shows both', async ({ page, whip, whep }) => {
  const [one, other] = [await page('One'), await page('Other')];
  await one.publish(whip('One'));
  const player = await page('Player');
  await player.play(whep(), { kinds: ['audio', 'video', 'audio', 'video'] });
  await player.receives({ videos: 1, audios: 1, frames: FRAMES });
  await other.publish(whip('Other'));
  await Promise.all([player.receives({ videos: 2, audios: 2, frames: FRAMES }), player.shows(2)]);

  // The section of the publisher that left is free for the next one.
  assert.equal(await one.stop(), 200);
  const third = await page('Third');
  await third.publish(whip('Third'));
  await player.receives({ videos: 2, audios: 2, frames: FRAMES });
});

rooms.test('?peer= selects one publisher', async ({ page, whip, whep }) => {
  const codecs = { One: 'video/VP8', Other: 'video/VP9' };
  for (const [name, codec] of Object.entries(codecs)) await (await page(name)).publish(whip(name), { codec });
  for (const peer of ['Other', 'One']) {
    const player = await page(`Player of ${peer}`);
    await player.play(whep({ peer }));
    const { received } = await player.receives({ frames: FRAMES });
    assert.equal(received.find(({ kind }) => kind === 'video').codec, codecs[peer], `the video of ${peer}`);
    await player.close();
  }
  const none = await page('Player of another');
  const { retryAfter } = await none.play(whep({ peer: 'Third' }), { may: 409 });
  assert.match(retryAfter, /^[1-9]\d*$/);
});

rooms.test('a player waits for the first publisher with Retry-After', async ({ page, whip, whep }) => {
  const player = await page('Player');
  const { retryAfter } = await player.play(whep(), { may: 409 });
  assert.match(retryAfter, /^[1-9]\d*$/);
  const camera = await page('Camera');
  await camera.publish(whip('Camera'));
  const { index } = await until('the player is admitted', async () => {
    const answer = await player.run((options) => window.whip.play(options), { url: whep() });
    return answer.status === 201 && answer;
  });
  await player.receives({ index, frames: FRAMES });
});

// At the same time: both wait until the server removes a session that is silent.
describe('sessions without a client', { concurrency: true }, () => {
  rooms.test('a page that is closed without DELETE leaves the room', async ({ page, peer, whip }) => {
    const ada = await peer('Ada', { camera: [withoutDevices] });
    const camera = await page('Camera');
    const { location } = await camera.publish(whip('Camera'));
    await sees(ada, 'Camera');
    await camera.close();
    await isGone(ada, 'Camera', 3 * PATIENCE_MS);
    await assertProblem(await fetch(location, { method: 'DELETE' }), 404);
  });

  rooms.test('an offer that never connects does not stay in the room', async ({ page, peer, whip }) => {
    const ada = await peer('Ada', { camera: [withoutDevices] });
    const camera = await page('Camera');
    // The connection of the offer does not exist any more.
    const body = await camera.run(async () => {
      const connection = new RTCPeerConnection();
      for (const track of (await window.whip.camera()).getTracks()) connection.addTrack(track);
      const { sdp } = await connection.createOffer();
      connection.close();
      return sdp;
    });
    const response = await fetch(whip('Camera'), { method: 'POST', headers: { 'Content-Type': SDP }, body });
    assert.equal(response.status, 201, await response.text());
    const session = new URL(response.headers.get('Location'), rooms.leat.url);
    await isGone(ada, 'Camera', 3 * PATIENCE_MS);
    await until('the session is removed', async () => (await fetch(session, { method: 'PATCH' })).status === 404, {
      timeoutMs: 3 * PATIENCE_MS,
    });
  });
});

rooms.test('a player selects a layer of a simulcast', async ({ page, peer, whip, whep }) => {
  const camera = await page('Camera');
  await camera.publish(whip('Camera'), {
    codec: 'video/VP8',
    video: { width: 1280, height: 720, frameRate: 15 },
    encodings: [
      { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
      { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
      { rid: 'f', maxBitrate: 1_500_000 },
    ],
  });
  const player = await page('Player');
  const { link, body } = await player.play(whep());
  const layer = linksOf(link).find(({ rel }) => rel === 'urn:ietf:params:whep:ext:core:layer').url;
  const path = new URL(layer, rooms.leat.url).pathname.split('/').at(-1);
  const [, mediaId] = /^m=video[\s\S]*?^a=mid:(\S+)/m.exec(body);
  const height = async () => (await player.streams()).received.find(({ kind }) => kind === 'video')?.height;
  for (const [encodingId, lines] of [
    ['q', 180],
    ['f', 720],
    ['h', 360],
  ]) {
    const { status, body } = await player.request({
      path: `/${path}`,
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ mediaId, encodingId }),
    });
    assert.ok([200, 204].includes(status), `${status} ${body}`);
    await until(`${lines} lines of ${encodingId}`, async () => (await height()) === lines);
  }
  const ada = await peer('Ada', { camera: [withoutDevices] });
  await sees(ada, 'Camera');
});

/** Runs in the page: keeps the events of a session. Returns the status of the subscription. */
async function listen({ url, names }) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(names) });
  window.events = [];
  const source = new EventSource(new URL(response.headers.get('Location'), url));
  for (const name of names) source.addEventListener(name, ({ data }) => window.events.push({ name, data: JSON.parse(data) }));
  return response.status;
}

rooms.test('a page gets events of the session that it plays', async ({ page, whip, whep }) => {
  const camera = await page('Camera');
  await camera.publish(whip('Camera'), { codec: 'video/VP8' });
  const player = await page('Player');
  const { link } = await player.play(whep());
  const { url, events } = linksOf(link).find(({ rel }) => rel === 'urn:ietf:params:whep:ext:core:server-sent-events');
  const subscription = { url: new URL(url, rooms.leat.url).href, names: events.split(',') };
  assert.equal(await player.run(listen, subscription), 201);
  const seen = (name) => player.run((name) => window.events.filter((event) => event.name === name).at(-1)?.data, name);
  await until('the publisher is active', async () => (await seen('active')) !== undefined);
  await until('one viewer', async () => (await seen('viewercount'))?.viewercount === 1);
  await until('the layers of the video', async () =>
    Object.values((await seen('layers')) ?? {}).some(({ layers }) => layers.length > 0),
  );

  const other = await page('Other');
  await other.play(whep());
  await until('two viewers', async () => (await seen('viewercount'))?.viewercount === 2);
  await camera.stop();
  await until('there is no publisher', async () => (await seen('inactive')) !== undefined);
});
