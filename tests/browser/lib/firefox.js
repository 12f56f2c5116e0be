// Firefox with one page for each participant. The pages have the same methods as those of Chromium.
//
// Firefox pairs candidates of loopback only with each other, and makes none itself: its media goes over the TURN
// server of Leat.

import puppeteer from 'puppeteer-core';
import { Bare } from './bare.js';
import { CAPTURE, constrainCamera, Peer } from './peers.js';
import { appAnswer } from './previous.js';
import { PATIENCE_MS } from './wait.js';

const FIREFOX = process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr';

const PREFERENCES = {
  // A fake camera and microphone, without a prompt.
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  // Video and sound start without a click.
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  // TURN servers of loopback are used.
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  // No connections to servers of the vendor.
  'app.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,#remote-settings-dummy/v1',
  'media.gmp-manager.url': 'data:,',
};

export function launchFirefox() {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: PREFERENCES,
    protocolTimeout: 3 * PATIENCE_MS,
  });
}

/** An empty page in its own context, with its uncaught errors. */
async function newPage(browser) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  return { page, errors, close: () => context.close() };
}

/** Makes a page use this app instead of the server's. */
async function serveApp(page, url, files) {
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    const { origin, pathname } = new URL(request.url());
    const answer = origin === url ? appAnswer(files, pathname) : null;
    void (answer ? request.respond({ status: 200, ...answer }) : request.continue());
  });
}

/** A page in its own context, with its uncaught errors. `app`: the folder of a built app. */
export async function openPage(browser, url, before = [], app = undefined) {
  const opened = await newPage(browser);
  if (app !== undefined) await serveApp(opened.page, new URL(url).origin, app);
  for (const [script, argument] of before) await opened.page.evaluateOnNewDocument(script, argument);
  await opened.page.goto(url);
  return opened;
}

/** A participant in the web app. Methods of `Peer` that use locators are not available. */
export class FirefoxPeer extends Peer {
  #close;

  /** `joins`: without a click. The others are those of `Peer.open`. */
  static async open(
    browser,
    url,
    { room, name, camera = [constrainCamera, CAPTURE], before = [], encrypted = false, joins = true, app = process.env.LEAT_APP },
  ) {
    const peer = new FirefoxPeer();
    peer.name = name;
    const query = new URLSearchParams({ room, name, ...(joins && { join: '1' }), ...(encrypted && { encrypted: '1' }) });
    const opened = await openPage(browser, `${url}/?${query}`, [camera, ...before], app);
    peer.page = opened.page;
    peer.errors = opened.errors;
    peer.#close = opened.close;
    return peer;
  }

  close() {
    return this.#close();
  }

  tiles() {
    return this.page.$$eval('.tile[data-source="camera"] .name', (names) =>
      names
        .map(({ textContent }) => textContent)
        .filter((name) => !name.endsWith('(you)'))
        .sort(),
    );
  }
}

/** Runs in the page, before its scripts: passes the frames of sockets to the test. */
function noteFrames() {
  const note = (from, data) => {
    if (typeof data === 'string') return;
    const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
    void window.note(from, btoa(String.fromCharCode(...bytes)));
  };
  window.WebSocket = class extends window.WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({ data }) => note('server', data));
    }

    send(data) {
      note('page', data);
      super.send(data);
    }
  };
}

/** A page with the block of docs/sdp.md. */
export class FirefoxBare extends Bare {
  #close;

  async openPage(browser) {
    const opened = await newPage(browser);
    this.page = opened.page;
    this.errors = opened.errors;
    this.#close = opened.close;
    await this.page.exposeFunction('note', (from, base64) => this.note(from, Buffer.from(base64, 'base64')));
    await this.page.evaluateOnNewDocument(noteFrames);
  }

  close() {
    return this.#close();
  }
}
