// Pages that publish by WHIP and play by WHEP, and requests of programs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './leat.js';
import { PATIENCE_MS, until } from './wait.js';

/** An offer of a real browser: `chrome-offer-av-plain` and so on. */
export const offer = (name) => readFileSync(join(ROOT, `tests/vectors/sdp/${name}.sdp`), 'utf8');

export const SDP = 'application/sdp';
export const FRAGMENT = 'application/trickle-ice-sdpfrag';

/** Audio packets for which a stream counts as played: a second of them. */
const PACKETS = 50;

/** The answer is a problem by RFC 9457 with this status. Returns its `detail`. */
export async function assertProblem(response, ...statuses) {
  const text = await response.text();
  assert.ok(statuses.includes(response.status), `status ${response.status} instead of ${statuses.join(' or ')}: ${text}`);
  assert.equal(response.headers.get('Content-Type')?.split(';')[0], 'application/problem+json', text);
  const problem = JSON.parse(text);
  assert.equal(problem.status, response.status, text);
  for (const member of ['type', 'title', 'detail']) {
    assert.equal(typeof problem[member], 'string', `${member} in ${text}`);
    assert.notEqual(problem[member], '', `${member} in ${text}`);
  }
  return problem.detail;
}

/** The links of an answer: `{url, rel, …parameters}`. */
export function linksOf(header) {
  return (header ?? '')
    .split(/,\s*(?=<)/)
    .filter(Boolean)
    .map((link) => {
      const [, url, rest] = /^<([^>]*)>(.*)$/.exec(link.trim());
      const parameters = [...rest.matchAll(/;\s*([\w-]+)="?([^";]*)"?/g)].map(([, name, value]) => [name, value]);
      return { url, ...Object.fromEntries(parameters) };
    });
}

/** Credentials and one candidate of an offer, as a client sends them while it gathers candidates. */
export function fragmentOf(sdp, credentials = {}) {
  const line = (name) => new RegExp(`^a=${name}:(.*)\r$`, 'm').exec(sdp)[1];
  const { ufrag = line('ice-ufrag'), pwd = line('ice-pwd') } = credentials;
  const [, kind] = /^m=(\w+)/m.exec(sdp);
  return [
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    `m=${kind} 9 UDP/TLS/RTP/SAVPF 0`,
    `a=mid:${line('mid')}`,
    `a=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host generation 0 ufrag ${ufrag}`,
    'a=end-of-candidates',
    '',
  ].join('\r\n');
}

/** A page of another site, in its own context of the browser. */
export class WhipPage {
  name;
  page;
  errors = [];
  #close;

  static async open(browser, site, name = 'page') {
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(site.url);
    const opened = WhipPage.over({ page, errors, close: () => context.close() }, name);
    await until('the clients are loaded', () => opened.run(() => window.clients !== undefined));
    return opened;
  }

  /** A page that is open already. */
  static over({ page, errors, close }, name) {
    const opened = new WhipPage();
    Object.assign(opened, { name, page, errors });
    opened.#close = close;
    return opened;
  }

  run(script, argument) {
    return this.page.evaluate(script, argument);
  }

  /** Returns the answer; one that is not 201 is an error unless `may` is that status. */
  async publish(url, { may = 201, ...options } = {}) {
    const answer = await this.run((options) => window.whip.publish(options), { url, ...options });
    assert.equal(answer.status, may, `${this.name}: ${answer.body}`);
    return answer;
  }

  async play(url, { may = 201, ...options } = {}) {
    const answer = await this.run((options) => window.whip.play(options), { url, ...options });
    assert.equal(answer.status, may, `${this.name}: ${answer.body}`);
    return answer;
  }

  /** Ends a session of this page with DELETE. Returns the status. */
  stop(index = 0) {
    return this.run((index) => window.whip.stop(index), index);
  }

  request(options) {
    return this.run((options) => window.whip.request(options), { index: 0, ...options });
  }

  streams(index = 0) {
    return this.run((index) => window.whip.streams(index), index);
  }

  pictures() {
    return this.run(() => window.whip.pictures());
  }

  /** Waits until a connection receives this many streams of each kind, and more of them than before. */
  async receives({ index = 0, videos = 1, audios = 1, frames = 60 } = {}) {
    const before = await this.streams(index);
    const of = (streams, mid) => streams.received.find((row) => row.mid === mid);
    let now = before;
    const grown = (kind, key, least) =>
      now.received.filter((row) => row.kind === kind && row[key] - (of(before, row.mid)?.[key] ?? 0) >= least).length;
    await until('', async () => {
      now = await this.streams(index);
      return grown('video', 'frames', frames) >= videos && grown('audio', 'packets', PACKETS) >= audios;
    }).catch(() => {
      throw new Error(
        `${this.name} should receive ${videos} × ${frames} frames and ${audios} audio streams: ${JSON.stringify(now)}`,
      );
    });
    return now;
  }

  /** Waits until all elements of the page show pictures that change. */
  async shows(count = 1, frames = 30) {
    let pictures = [];
    const start = await this.pictures();
    await until('', async () => {
      pictures = await this.pictures();
      const moving = pictures.filter((picture, at) => picture.width > 0 && picture.frames - (start[at]?.frames ?? 0) >= frames);
      return moving.length >= count;
    }).catch(() => {
      throw new Error(`${this.name} should show ${count} pictures: ${JSON.stringify(pictures)}`);
    });
    return pictures;
  }

  close() {
    return this.#close();
  }
}
