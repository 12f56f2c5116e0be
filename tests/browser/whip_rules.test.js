// WHIP (RFC 9725) and WHEP over HTTP: what a program without a browser sees of the rules. docs/whip.md lists
// the tests by section.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignalClient } from './lib/client.js';
import { Leat } from './lib/leat.js';
import { expiresIn, mintToken } from './lib/token.js';
import { TEST_LIMIT, until } from './lib/wait.js';
import { assertProblem, FRAGMENT, fragmentOf, linksOf, offer, SDP } from './lib/whip.js';

const SECRET = 'a secret that is used in these tests only';
const ROOM = 'millpond';
const OFFER = offer('chrome-offer-av-plain');
const PLAYER_OFFER = offer('chrome-offer-av-recvonly');

/** In development mode, and with a key. */
let open;
let closed;

before(async () => {
  open = await Leat.start();
  closed = await Leat.start(['--secret', SECRET]);
});

after(async () => {
  await open?.stop();
  await closed?.stop();
});

/** A request with a body. */
function send(url, { method = 'POST', type = SDP, headers = {}, body = OFFER } = {}) {
  const contentType = type === null ? {} : { 'Content-Type': type };
  return fetch(url, { method, headers: { ...contentType, ...headers }, body });
}

/** Makes a session, and ends it after the test. Returns its URL, its ETag and the answer. */
async function session(t, path = `/whip/${ROOM}`, options = {}) {
  const response = await send(open.url + path, options);
  const answer = await response.text();
  assert.equal(response.status, 201, answer);
  const url = new URL(response.headers.get('Location'), open.url).href;
  t.after(() => fetch(url, { method: 'DELETE' }));
  return { url, etag: response.headers.get('ETag'), answer, headers: response.headers };
}

function patch(url, { etag, type = FRAGMENT, body = fragmentOf(OFFER) } = {}) {
  return send(url, { method: 'PATCH', type, body, headers: etag === undefined ? {} : { 'If-Match': etag } });
}

test('an offer is answered with 201, the SDP answer and the URL of the session', TEST_LIMIT, async (t) => {
  const { url, etag, answer, headers } = await session(t);
  assert.equal(headers.get('Content-Type'), SDP);
  assert.match(headers.get('Location'), new RegExp(`^/whip/${ROOM}/[\\w-]{16,}$`));
  assert.match(etag, /^"[^"]+"$/, 'a strong entity tag');
  assert.equal(headers.get('Accept-Patch'), FRAGMENT);
  assert.ok(url.startsWith(open.url));

  const lines = answer.split('\r\n');
  const sections = lines.filter((line) => line.startsWith('m='));
  assert.equal(sections.length, 2, answer);
  for (const section of sections) assert.doesNotMatch(section, /^m=\w+ 0 /, 'a rejected section');
  for (const line of ['a=group:BUNDLE 0 1', 'a=ice-lite']) assert.ok(lines.includes(line), `${line} in ${answer}`);
  assert.equal(lines.filter((line) => line === 'a=recvonly').length, 2, answer);
  assert.equal(lines.filter((line) => line === 'a=setup:passive').length, 2, answer);
  assert.equal(lines.filter((line) => line === 'a=rtcp-mux').length, 2, answer);
  assert.ok(
    lines.some((line) => line.startsWith('a=candidate:')),
    'a server has all candidates in the answer',
  );
});

test('each session has its own URL, which no other URL contains', TEST_LIMIT, async (t) => {
  const [one, other] = [await session(t), await session(t)];
  assert.notEqual(one.url, other.url);
  assert.equal((await fetch(one.url, { method: 'DELETE' })).status, 200);
  assert.equal((await patch(other.url, { etag: other.etag })).status, 204, 'the other session is still there');
});

test('a publisher is a peer of the room with the name of the query until it is deleted', TEST_LIMIT, async (t) => {
  const room = 'mill-race';
  const ada = await SignalClient.join(open.url, room, 'Ada');
  t.after(() => ada.close());
  const { url } = await session(t, `/whip/${room}?name=Camera%201`);
  const joined = () => ada.notifications.filter((payload) => payload.case === 'peerJoined');
  await until('Ada sees the publisher', () => joined().some(({ value }) => value.peer.displayName === 'Camera 1'));
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 200);
  await until('Ada sees that it left', () => ada.notifications.some((payload) => payload.case === 'peerLeft'));
});

test('an offer of another content type is refused with 415', TEST_LIMIT, async () => {
  for (const type of ['text/plain', 'application/json', FRAGMENT]) {
    for (const path of ['whip', 'whep']) await assertProblem(await send(`${open.url}/${path}/${ROOM}`, { type }), 415);
  }
});

test('a body that is no offer is refused with a sentence', TEST_LIMIT, async () => {
  const bodies = [
    '',
    'open sesame',
    OFFER.replace(/^a=ice-(ufrag|pwd):.*\r\n/gm, ''),
    OFFER.replace(/^a=fingerprint:.*\r\n/gm, ''),
    OFFER.replace(/^m=[\s\S]*$/m, ''),
  ];
  for (const body of bodies) {
    const detail = await assertProblem(await send(`${open.url}/whip/${ROOM}`, { body }), 400, 422);
    assert.match(detail, / /, 'a sentence');
  }
});

test('an offer without a codec that the room has is refused', TEST_LIMIT, async () => {
  const body = OFFER.replaceAll(/^a=rtpmap:(\d+) [\w-]+\//gm, 'a=rtpmap:$1 unknown/');
  await assertProblem(await send(`${open.url}/whip/${ROOM}`, { body }), 406, 422);
});

test('an offer of which one section cannot be answered is refused as a whole', TEST_LIMIT, async () => {
  const [audio, video] = OFFER.split('m=video ');
  const body = `${audio}m=video ${video.replaceAll(/^a=rtpmap:(\d+) [\w-]+\//gm, 'a=rtpmap:$1 unknown/')}`;
  await assertProblem(await send(`${open.url}/whip/${ROOM}`, { body }), 406, 422);
});

test('an offer that is not bundled is refused', TEST_LIMIT, async () => {
  const body = OFFER.replace(/^a=group:BUNDLE .*\r\n/m, '');
  await assertProblem(await send(`${open.url}/whip/${ROOM}`, { body }), 400, 406, 422);
});

test('a body that is too long is refused with 413', TEST_LIMIT, async () => {
  // Not much longer than allowed: the server closes the connection before it has read everything.
  const body = `${OFFER}a=${'x'.repeat(256 << 10)}\r\n`;
  await assertProblem(await send(`${open.url}/whip/${ROOM}`, { body }), 413);
});

test('a room name that is none is refused', TEST_LIMIT, async () => {
  for (const room of ['mill%20pond', 'x'.repeat(65), '%00']) {
    const response = await send(`${open.url}/whip/${room}`);
    await assertProblem(response, 400, 404, 422);
  }
});

test('trickled candidates are accepted with the entity tag of the session', TEST_LIMIT, async (t) => {
  const { url, etag } = await session(t);
  for (let round = 0; round < 3; round += 1) {
    const response = await patch(url, { etag });
    assert.equal(response.status, 204, await response.text());
  }
});

test('PATCH without If-Match is refused with 428, with another entity tag with 412', TEST_LIMIT, async (t) => {
  const { url, etag } = await session(t);
  await assertProblem(await patch(url), 428);
  for (const wrong of ['"another"', `W/${etag}`]) await assertProblem(await patch(url, { etag: wrong }), 412);
  assert.equal((await patch(url, { etag })).status, 204, 'the session is unchanged');
});

test('PATCH of another content type is refused with 415, and a malformed fragment with 400 or 422', TEST_LIMIT, async (t) => {
  const { url, etag } = await session(t);
  await assertProblem(await patch(url, { etag, type: SDP, body: OFFER }), 415);
  await assertProblem(await patch(url, { etag, type: 'text/plain' }), 415);
  for (const body of ['', 'open sesame']) await assertProblem(await patch(url, { etag, body }), 400, 422);
  assert.equal((await patch(url, { etag })).status, 204, 'the session is unchanged');
});

// RFC 9725 shows the field value with quotation marks, RFC 9110 §13.1.1 has it without them; clients send both.
for (const any of ['*', '"*"']) {
  test(`an ICE restart with If-Match: ${any} is answered with new credentials and a new entity tag`, TEST_LIMIT, async (t) => {
    const { url, etag, answer } = await session(t);
    const body = fragmentOf(OFFER, { ufrag: 'NEWU', pwd: 'anewpasswordof24letters0' });
    const response = await patch(url, { etag: any, body });
    const fragment = await response.text();
    assert.equal(response.status, 200, fragment);
    assert.equal(response.headers.get('Content-Type'), FRAGMENT);
    const next = response.headers.get('ETag');
    assert.match(next, /^"[^"]+"$/);
    assert.notEqual(next, etag);
    const credential = (sdp, name) => new RegExp(`^a=${name}:(.*?)\r?$`, 'm').exec(sdp)?.[1];
    for (const name of ['ice-ufrag', 'ice-pwd']) {
      assert.ok(credential(fragment, name), `${name} in ${fragment}`);
      assert.notEqual(credential(fragment, name), credential(answer, name), `${name} is new`);
    }
    assert.match(fragment, /^a=candidate:/m);
    await assertProblem(await patch(url, { etag, body }), 412);
    assert.equal((await patch(url, { etag: next, body })).status, 204);
  });
}

test('DELETE ends the session; after it there is none', TEST_LIMIT, async (t) => {
  for (const [path, body] of [
    [`/whip/${ROOM}`, OFFER],
    [`/whep/${ROOM}`, PLAYER_OFFER],
  ]) {
    if (path.startsWith('/whep')) await session(t);
    const { url, etag } = await session(t, path, { body });
    const response = await fetch(url, { method: 'DELETE' });
    assert.equal(response.status, 200, await response.text());
    await assertProblem(await fetch(url, { method: 'DELETE' }), 404);
    await assertProblem(await patch(url, { etag }), 404);
  }
});

test('an unknown session is answered with 404', TEST_LIMIT, async (t) => {
  const { url } = await session(t);
  const another = url.at(-1) === '0' ? '1' : '0';
  for (const guess of [`${open.url}/whip/${ROOM}/guess`, url.slice(0, -1), url.slice(0, -1) + another]) {
    await assertProblem(await fetch(guess, { method: 'DELETE' }), 404);
  }
});

test('methods that a URL does not have are answered with 405 and those that it has', TEST_LIMIT, async (t) => {
  const { url } = await session(t);
  for (const [at, has] of [
    [`${open.url}/whip/${ROOM}`, 'POST'],
    [`${open.url}/whep/${ROOM}`, 'POST'],
    [url, 'DELETE'],
  ]) {
    for (const method of ['GET', 'HEAD', 'PUT']) {
      const response = await fetch(at, { method });
      assert.equal(response.status, 405, `${method} ${at}`);
      assert.ok(response.headers.get('Allow')?.includes(has), `${method} ${at}: ${response.headers.get('Allow')}`);
    }
  }
});

test('OPTIONS names the content type of offers', TEST_LIMIT, async () => {
  for (const path of ['whip', 'whep']) {
    const response = await fetch(`${open.url}/${path}/${ROOM}`, { method: 'OPTIONS' });
    assert.ok(response.ok, `${response.status}`);
    assert.equal(response.headers.get('Accept-Post'), SDP);
  }
});

test('a preflight request of an allowed page gets all methods and headers of WHIP', TEST_LIMIT, async (t) => {
  const origin = 'http://localhost:3000';
  const { url } = await session(t);
  const wanted = [
    [`${open.url}/whip/${ROOM}`, 'POST', 'authorization,content-type'],
    [`${open.url}/whep/${ROOM}`, 'POST', 'authorization,content-type'],
    [`${open.url}/whip/${ROOM}`, 'OPTIONS', 'authorization'],
    [url, 'PATCH', 'authorization,content-type,if-match'],
    [url, 'DELETE', 'authorization'],
  ];
  for (const [at, method, names] of wanted) {
    const headers = { Origin: origin, 'Access-Control-Request-Method': method, 'Access-Control-Request-Headers': names };
    const response = await fetch(at, { method: 'OPTIONS', headers });
    assert.ok(response.ok, `${method} ${at}: ${response.status}`);
    const list = (name) => (response.headers.get(name) ?? '').toLowerCase().split(/\s*,\s*/);
    assert.ok([origin, '*'].includes(response.headers.get('Access-Control-Allow-Origin')), `${method} ${at}`);
    assert.ok(list('Access-Control-Allow-Methods').includes(method.toLowerCase()), `${method} ${at}`);
    for (const name of names.split(','))
      assert.ok(list('Access-Control-Allow-Headers').includes(name), `${name} ${method} ${at}`);
  }
});

test('a page of another origin reads Location, ETag and Link; a page that is not allowed is refused', TEST_LIMIT, async (t) => {
  const { headers } = await session(t, `/whip/${ROOM}`, { headers: { Origin: 'http://localhost:3000' } });
  const exposed = (headers.get('Access-Control-Expose-Headers') ?? '').toLowerCase().split(/\s*,\s*/);
  for (const name of ['location', 'etag', 'link']) assert.ok(exposed.includes(name), `${name} in ${exposed}`);

  const response = await send(`${open.url}/whip/${ROOM}`, { headers: { Origin: 'https://elsewhere.example' } });
  assert.equal(response.status, 403);
  assert.equal(response.headers.get('Access-Control-Allow-Origin'), null);
});

test('the answer names the TURN server with credentials', TEST_LIMIT, async (t) => {
  const { headers } = await session(t);
  const servers = linksOf(headers.get('Link')).filter(({ rel }) => rel === 'ice-server');
  assert.ok(servers.length > 0, headers.get('Link'));
  for (const server of servers) {
    assert.match(server.url, new RegExp(`^turns?:.*:(${open.turnPort}|${open.turnTlsPort})(\\?transport=(udp|tcp))?$`));
    assert.ok(server.username && server.credential, JSON.stringify(server));
    assert.equal(server['credential-type'], 'password');
  }
});

test('without the engine an offer is answered with 503 and a time to retry after', TEST_LIMIT, async () => {
  const leat = await Leat.start();
  try {
    // Paused, so that it does not start the engine again.
    leat.pause();
    leat.crash('leat-engine');
    await until('signaling notices', async () => (await (await fetch(`${leat.url}/healthz`)).json()).engine === 'away');
    const response = await send(`${leat.url}/whip/${ROOM}`);
    assert.match(response.headers.get('Retry-After') ?? '', /^[1-9]\d*$/);
    await assertProblem(response, 503);
  } finally {
    leat.resume();
    await leat.stop();
  }
});

test('WHEP without a publisher is answered with 409 and a time to retry after', TEST_LIMIT, async () => {
  const response = await send(`${open.url}/whep/empty-room`, { body: PLAYER_OFFER });
  assert.match(response.headers.get('Retry-After'), /^[1-9]\d*$/);
  await assertProblem(response, 409);
});

test('WHEP is answered with 201, sendonly sections and the links of the extensions', TEST_LIMIT, async (t) => {
  const room = 'weir';
  await session(t, `/whip/${room}`);
  const { url, headers, answer } = await session(t, `/whep/${room}`, { body: PLAYER_OFFER });
  assert.match(new URL(url).pathname, new RegExp(`^/whep/${room}/[\\w-]{16,}$`));
  assert.equal(answer.split('\r\n').filter((line) => line === 'a=sendonly').length, 2, answer);
  const links = linksOf(headers.get('Link'));
  for (const name of ['layer', 'server-sent-events']) {
    const link = links.find(({ rel }) => rel === `urn:ietf:params:whep:ext:core:${name}`);
    assert.ok(new URL(link?.url, open.url).href.startsWith(url), `${name} in ${headers.get('Link')}`);
  }
});

const token = ({ secret = SECRET, sub = 'ada', room = ROOM, expiresInS = 600, permissions } = {}) =>
  mintToken(secret, { sub, name: 'Ada', room, exp: expiresIn(expiresInS), permissions });
const bearer = (value) => ({ Authorization: `Bearer ${value}` });

const unauthorised = {
  'no token': {},
  'a string that is no token': bearer('open-sesame'),
  'a token signed with another key': bearer(token({ secret: 'another secret, just as long as the first' })),
  'a token of yesterday': bearer(token({ expiresInS: -86_400 })),
};

for (const [what, headers] of Object.entries(unauthorised)) {
  test(`${what} is refused with 401`, TEST_LIMIT, async () => {
    for (const path of ['whip', 'whep']) {
      const response = await send(`${closed.url}/${path}/${ROOM}`, { headers });
      assert.match(response.headers.get('WWW-Authenticate') ?? '', /^Bearer/);
      await assertProblem(response, 401);
    }
  });
}

test('a token for another room, or without the permission to publish, is refused with 403', TEST_LIMIT, async () => {
  for (const value of [token({ room: 'mill-race' }), token({ permissions: { canPublish: false } })]) {
    await assertProblem(await send(`${closed.url}/whip/${ROOM}`, { headers: bearer(value) }), 403);
  }
  await assertProblem(
    await send(`${closed.url}/whep/${ROOM}`, {
      headers: bearer(token({ permissions: { canSubscribe: false } })),
      body: PLAYER_OFFER,
    }),
    403,
  );
});

test('the URL of a session is a secret, which permits its requests without the token', TEST_LIMIT, async () => {
  const headers = bearer(token());
  const response = await send(`${closed.url}/whip/${ROOM}`, { headers });
  assert.equal(response.status, 201, await response.text());
  const url = new URL(response.headers.get('Location'), closed.url).href;
  assert.equal((await patch(url, { etag: response.headers.get('ETag') })).status, 204);
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 200);
});

test('a stream key publishes into its room under its label, until it is revoked', TEST_LIMIT, async (t) => {
  const printed = closed.shell(`leat stream-keys add --room ${ROOM} --label 'Camera 2'`);
  const [id, key] = ['id', 'key'].map((name) => new RegExp(`^${name}: (\\S+)$`, 'm').exec(printed)[1]);
  const headers = bearer(key);
  const ada = await SignalClient.join(closed.url, ROOM, 'Ada', token());
  t.after(() => ada.close());

  const response = await send(`${closed.url}/whip/${ROOM}`, { headers });
  assert.equal(response.status, 201, await response.text());
  const joined = () => ada.notifications.filter((payload) => payload.case === 'peerJoined');
  await until('Ada sees the encoder', () => joined().some(({ value }) => value.peer.displayName === 'Camera 2'));

  await assertProblem(await send(`${closed.url}/whip/mill-race`, { headers }), 401);
  // A stream key is no token: it does not play.
  await assertProblem(await send(`${closed.url}/whep/${ROOM}`, { headers, body: PLAYER_OFFER }), 401);

  closed.shell(`leat stream-keys revoke ${id}`);
  await until('the key is refused', async () => (await send(`${closed.url}/whip/${ROOM}`, { headers })).status === 401);
});
