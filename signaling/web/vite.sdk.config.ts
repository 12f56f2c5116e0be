import { defineConfig } from 'vite';

// `npm run build:sdk`: the SDK with its dependencies as one ES module, also for pages without a bundler. With
// `--mode react`, the hooks: they import React and that module.
export default defineConfig(({ mode }) => ({
  publicDir: false,
  // A library build leaves this to the bundler of the application; here there is none.
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target: 'es2022',
    outDir: 'dist-sdk',
    emptyOutDir: mode !== 'react',
    reportCompressedSize: false,
    lib:
      mode === 'react'
        ? { entry: 'src/react/index.ts', formats: ['es'], fileName: () => 'react/index.js' }
        : { entry: 'src/sdk/index.ts', formats: ['es'], fileName: () => 'leat.js' },
    rolldownOptions: {
      external: (id) => /^react($|\/)/.test(id) || (mode === 'react' && id === '../sdk'),
    },
  },
}));
