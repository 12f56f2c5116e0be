// The archive of the SDK, as an application developer installs it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sizes } from '../../signaling/web/scripts/sdk_size.js';
import { ROOT } from './lib/leat.js';
import { buildSdk } from './lib/sdk.js';

const WEB = join(ROOT, 'signaling/web');
/** Bytes with gzip. A larger SDK needs a reason. */
const GZIP_MAX = { 'leat.js': 175_000, 'react/index.js': 2_500 };
/** Packages that an application with React has, besides the archive. */
const PEERS = ['react', 'react-dom', 'scheduler', 'csstype', '@types/react', '@types/react-dom'];

let folder;
const run = (command, args, cwd = folder) => {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`);
  }
};

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'leat-sdk-'));
  // A copy: another test may build again meanwhile.
  buildSdk(`npm run build:sdk; cp -r dist-sdk '${folder}/dist-sdk'; cp ../../target/sdk/api/web.api.json '${folder}/api.json'`);
  const archive = run('npm', ['pack', '--silent', '--pack-destination', folder], join(folder, 'dist-sdk')).trim();
  writeFileSync(join(folder, 'package.json'), '{ "name": "application", "version": "1.0.0", "type": "module" }\n');
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--legacy-peer-deps', `./${archive}`]);
});

after(() => rmSync(folder, { recursive: true, force: true }));

const installed = (file) => join(folder, 'node_modules/@leat/web', file);

/** React and its types, from the web app. */
function addReact() {
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  for (const name of PEERS) symlinkSync(join(WEB, 'node_modules', name), join(folder, 'node_modules', name));
}

/** Type-checks a file as an application with this resolution of modules. */
function check(file, text, options = []) {
  writeFileSync(join(folder, file), text);
  const strict = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2023,dom,dom.iterable', '--types', ''];
  return run(process.execPath, [join(WEB, 'node_modules/typescript/bin/tsc'), ...strict, ...options, file]);
}

const NODE = ['--module', 'nodenext', '--moduleResolution', 'nodenext'];
const BUNDLER = ['--module', 'esnext', '--moduleResolution', 'bundler', '--jsx', 'react-jsx'];

const CALL = `
import { Call, type CallView, type LogEntry, logLine, WebRTCError } from '@leat/web';
const log = (entry: LogEntry) => console.info(logLine(entry));
const onView = ({ peers, session }: CallView) => console.info(session, peers.map(({ name }) => name));
const call = new Call({ room: 'millpond', url: 'http://localhost:7080', log }, { onView, onNotice: console.warn });
call.store.subscribe(({ peers }) => console.info(peers.size));
const channel = call.openChannel('game', { ordered: false });
channel.send('move');
export const failed = (error: unknown): string | null => (error instanceof WebRTCError ? error.code : null);
// @ts-expect-error The name of a room is text.
new Call({ room: 1 }, { onView, onNotice: console.warn });
`;

const ROOM = `
import type { Call } from '@leat/web';
import { CallProvider, usePeer, usePeerIds, useSpeaking, Video } from '@leat/web/react';
function Tile({ id }: { id: string }) {
  const peer = usePeer(id);
  const camera = peer?.sources.find(({ source }) => source === 'camera');
  return <figure className={useSpeaking(id) ? 'speaks' : ''}><Video track={camera?.track ?? null} />{peer?.name}</figure>;
}
function Tiles() {
  return <>{usePeerIds().map((id) => <Tile key={id} id={id} />)}</>;
}
export const Room = ({ call }: { call: Call }) => <CallProvider call={call}><Tiles /></CallProvider>;
// @ts-expect-error A peer has an id.
export const wrong = () => usePeer(1);
`;

test('the archive has the entries, their types and the licence, and needs no other package', () => {
  const files = ['LICENSE', 'leat.d.ts', 'leat.js', 'package.json', 'react'];
  assert.deepEqual(readdirSync(installed('.')).sort(), files);
  const { dependencies, peerDependenciesMeta } = JSON.parse(readFileSync(installed('package.json'), 'utf8'));
  assert.equal(dependencies, undefined);
  assert.deepEqual(peerDependenciesMeta, { react: { optional: true } });
  assert.deepEqual(readFileSync(installed('leat.d.ts'), 'utf8').match(/^import .*|\bimport\(/gm), null);
});

test('an application without React type-checks and runs', () => {
  check('call.ts', CALL, NODE);
  const script = `
    import { createCallStore, logLine, WebRTCError } from '@leat/web';
    const store = createCallStore();
    store.getState().addPeer('grace', { id: 'grace' });
    const line = logLine({ timestamp: 0, level: 'info', context: {}, message: 'joined' });
    console.log(JSON.stringify([store.getState().peers.size, JSON.parse(line).message, new WebRTCError('CLOSED', 'over') instanceof Error]));
  `;
  assert.deepEqual(JSON.parse(run(process.execPath, ['--input-type=module', '-e', script])), [1, 'joined', true]);
  assert.throws(() => run(process.execPath, ['--input-type=module', '-e', "await import('@leat/web/react')"]), /react/);
  assert.throws(
    () => run(process.execPath, ['--input-type=module', '-e', "await import('@leat/web/leat.js')"]),
    /ERR_PACKAGE_PATH_NOT_EXPORTED/,
  );
});

test('an application with React type-checks, and its hooks read the store of the SDK', () => {
  addReact();
  check('room.tsx', ROOM, BUNDLER);
  check('room_node.tsx', ROOM, [...NODE, '--jsx', 'react-jsx']);
  const script = `
    import { createElement } from 'react';
    import { renderToString } from 'react-dom/server';
    import { createCallStore } from '@leat/web';
    import { CallProvider, usePeers, Video } from '@leat/web/react';
    const store = createCallStore();
    store.getState().addPeer('grace', { id: 'grace', name: 'Grace', sources: [] });
    const Names = () => createElement('p', null, usePeers().map(({ name }) => name).join());
    console.log(renderToString(createElement(CallProvider, { call: { store } }, createElement(Names))));
  `;
  assert.equal(run(process.execPath, ['--input-type=module', '-e', script]).trim(), '<p>Grace</p>');
});

test('every exported name has a doc comment', () => {
  const model = JSON.parse(readFileSync(join(folder, 'api.json'), 'utf8'));
  const names = model.members[0].members;
  assert.ok(names.length > 100, `${names.length} names`);
  assert.deepEqual(
    names.filter(({ docComment }) => !docComment).map(({ name }) => name),
    [],
  );
  const hooks = readFileSync(installed('react/hooks.d.ts'), 'utf8');
  assert.deepEqual(hooks.match(/(?<!\*\/\n)export declare function \w+/g), null);
});

test('the entries are no larger than their bounds', (t) => {
  const found = sizes(installed('.'));
  t.diagnostic(JSON.stringify(found));
  assert.deepEqual(Object.keys(found), Object.keys(GZIP_MAX));
  for (const [entry, { gzip }] of Object.entries(found)) assert.ok(gzip < GZIP_MAX[entry], `${entry}: ${gzip} bytes`);
});
