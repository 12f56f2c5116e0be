// File transfer as a person in the web app does it.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, createReadStream, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE_MS, until } from './wait.js';

/** A busy machine needs minutes for a large file. */
const TRANSFER_MS = 5 * PATIENCE_MS;
/** Bytes of a made file that are in memory at once. */
const BLOCK = 4 * 1024 * 1024;

async function sha256(path) {
  const hash = createHash('sha256');
  for await (const block of createReadStream(path)) hash.update(block);
  return hash.digest('hex');
}

/** A folder of files to send, and of received ones. */
export class Files {
  #folder = mkdtempSync(join(tmpdir(), 'leat-files-'));

  remove() {
    rmSync(this.#folder, { recursive: true });
  }

  /** A file with random content. */
  made(name, size) {
    const path = join(this.#folder, name);
    const hash = createHash('sha256');
    const file = openSync(path, 'w');
    for (let at = 0; at < size; at += BLOCK) {
      const block = randomBytes(Math.min(BLOCK, size - at));
      hash.update(block);
      writeSync(file, block);
    }
    closeSync(file);
    return { path, hash: hash.digest('hex') };
  }

  /** What the browser downloads when the user saves the file. */
  async saved(peer, name) {
    const downloading = peer.page.waitForEvent('download', { timeout: TRANSFER_MS });
    await peer.press(`Save ${name}`);
    const download = await downloading;
    const path = join(this.#folder, `saved-${name}`);
    await download.saveAs(path);
    return { name: download.suggestedFilename(), hash: await sha256(path) };
  }
}

export const openPanel = (peer) => peer.page.getByRole('button', { name: /^Files/ }).click();

export const choose = (peer, path) => peer.page.locator('.files input[type="file"]').setInputFiles(path);

/** The transfer of a file as a participant has it; undefined before. */
export const transfer = (peer, name) =>
  peer.page.evaluate(
    (name) => [...window.__leat.store.getState().fileTransfers.values()].find(({ metadata }) => metadata.name === name),
    name,
  );

export const hasState = (peer, name, state, timeoutMs = TRANSFER_MS) =>
  until(`${name} is ${state} at ${peer.name}`, async () => (await transfer(peer, name))?.state === state, { timeoutMs });

/** Runs in the page: at the first part of the file that arrives after `from` bytes, ICE restarts. */
function restartAfter([name, from]) {
  const { store, call } = window.__leat;
  window.restartedAt = undefined;
  const stop = store.subscribe(({ fileTransfers }) => {
    const { bytes = 0 } = [...fileTransfers.values()].find(({ metadata }) => metadata.name === name) ?? {};
    if (bytes <= from) return;
    stop();
    window.restartedAt = bytes;
    call.faults.restartIce();
  });
}

/** Restarts ICE as soon as more than `from` bytes of the file have arrived. */
export const restartIceDuring = (peer, name, from = 0) => peer.page.evaluate(restartAfter, [name, from]);

/** Waits for the restart of `restartIceDuring`. The file was not complete at that time. */
export async function hasRestarted(peer, size, timeoutMs = TRANSFER_MS) {
  const isDone = () => peer.page.evaluate(() => window.restartedAt !== undefined);
  await until(`ICE of ${peer.name} restarts`, isDone, { timeoutMs });
  const at = await peer.page.evaluate(() => window.restartedAt);
  assert.ok(at < size, `${peer.name} had ${at} bytes at the restart`);
}

/** The ICE user name of each transport, which a restart changes. */
export const iceNames = (peer) =>
  peer.page.evaluate(async () => {
    const names = [];
    for (const direction of ['send', 'recv']) {
      const report = await window.__leat.call.getStats(direction);
      for (const stats of report.values()) if (stats.type === 'transport') names.push(stats.iceLocalUsernameFragment);
    }
    return names;
  });
