import { resolve } from 'node:path';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { proxy } from './vite.proxy.ts';

// `npm run examples` serves examples/, with the SDK of this tree in place of the package, and forwards the
// signaling server's paths to it.
export default defineConfig({
  root: 'examples',
  cacheDir: '../node_modules/.vite-examples',
  plugins: [react()],
  resolve: {
    alias: [
      { find: '@leat/web/react', replacement: resolve('src/react/index.ts') },
      { find: '@leat/web', replacement: resolve('src/sdk/index.ts') },
    ],
  },
  server: { proxy },
});
