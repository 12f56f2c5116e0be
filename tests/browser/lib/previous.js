// The web app of the previous commit, built from the history of this clone.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { ROOT } from './leat.js';

const WEB = 'signaling/web';
/** The paths of the app's pages; the server sends `index.html` for each. */
const PAGES = ['/', '/whip', '/check'];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

function git(...args) {
  return execFileSync('git', ['-C', ROOT, ...args], { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 });
}

/**
 * The previous commit, or the one that LEAT_PREVIOUS names, for example that of a release; null in a clone that has
 * only one commit.
 */
export function previousCommit() {
  try {
    return git('rev-parse', '--verify', process.env.LEAT_PREVIOUS ?? 'HEAD~1')
      .toString()
      .trim();
  } catch {
    return null;
  }
}

/** Builds the app of a commit. Returns the folder of its files, and a function that removes it. */
export function buildApp(commit) {
  const folder = mkdtempSync(join(tmpdir(), 'leat-previous-'));
  const run = (command, args, cwd) => execFileSync(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit, WEB, 'signaling/proto') });
  const web = join(folder, WEB);
  const lock = (of) => readFileSync(join(of, 'package-lock.json'), 'utf8');
  // Installing packages takes longer than building; they are rarely different.
  if (lock(web) === lock(join(ROOT, WEB))) symlinkSync(join(ROOT, WEB, 'node_modules'), join(web, 'node_modules'));
  else run('npm', ['ci', '--no-audit', '--no-fund'], web);
  run('npm', ['run', '--silent', 'gen'], web);
  run('npx', ['vite', 'build'], web);
  return { files: join(web, 'dist'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * The answer of this app to a request for a path; null for a path of the server. With the mode "token", a link alone does
 * not join.
 */
export function appAnswer(files, pathname, mode = 'development') {
  const file = PAGES.includes(pathname) ? '/index.html' : pathname;
  const contentType = TYPES[extname(file)];
  if (contentType === undefined) return null;
  const body = readFileSync(join(files, file));
  if (file !== '/index.html') return { contentType, body };
  const text = body.toString().replace('name="leat-mode" content="token"', `name="leat-mode" content="${mode}"`);
  return { contentType, body: text };
}

/** Makes a page use this app instead of the server's. Requests to the server's paths pass. */
export async function serveApp(page, url, files, mode = 'development') {
  await page.route(`${url}/**`, (route) => {
    const answer = appAnswer(files, new URL(route.request().url()).pathname, mode);
    return answer ? route.fulfill(answer) : route.continue();
  });
}
