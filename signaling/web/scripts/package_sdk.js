// The last step of `npm run build:sdk`: types and the package.json of the archive, in dist-sdk. `npm pack ./dist-sdk` then
// makes the archive.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const web = join(import.meta.dirname, '..');
const dist = join(web, 'dist-sdk');
const types = join(dist, 'types/react');

// The types of the hooks import those of the SDK: a second copy of `Call` would be another type.
mkdirSync(join(dist, 'react'), { recursive: true });
for (const file of readdirSync(types)) {
  const text = readFileSync(join(types, file), 'utf8')
    .replaceAll(/from '(\.\/\w+)'/g, "from '$1.js'")
    .replaceAll("from '../sdk'", "from '../leat.js'");
  writeFileSync(join(dist, 'react', file), text);
}
rmSync(join(dist, 'types'), { recursive: true });

// The bundler writes the path of the sources.
const hooks = join(dist, 'react/index.js');
const bundled = readFileSync(hooks, 'utf8');
if (!bundled.includes('"../../sdk"')) throw new Error(`${hooks} does not import the SDK`);
writeFileSync(hooks, bundled.replace('"../../sdk"', '"../leat.js"'));

const { version, license, devDependencies, dependencies } = JSON.parse(readFileSync(join(web, 'package.json'), 'utf8'));
const manifest = {
  name: '@leat/web',
  version,
  description: 'Calls through a Leat server: media, data channels, files, end-to-end encryption',
  license,
  type: 'module',
  sideEffects: false,
  exports: {
    '.': { types: './leat.d.ts', default: './leat.js' },
    './react': { types: './react/index.d.ts', default: './react/index.js' },
    './package.json': './package.json',
  },
  types: './leat.d.ts',
  files: ['leat.js', 'leat.d.ts', 'react'],
  peerDependencies: { react: '>=18' },
  peerDependenciesMeta: { react: { optional: true } },
};
if (!dependencies.react || !devDependencies['@types/react']) throw new Error('the hooks are built without React');
writeFileSync(join(dist, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
cpSync(join(web, '../../LICENSE'), join(dist, 'LICENSE'));
