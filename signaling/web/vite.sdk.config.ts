import { defineConfig } from 'vite';

// `npm run build:sdk`: the SDK with its dependencies as one ES module, for pages without a bundler.
export default defineConfig({
  publicDir: false,
  // A library build leaves this to the bundler of the application; here there is none.
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target: 'es2022',
    outDir: 'dist-sdk',
    lib: { entry: 'src/sdk/index.ts', formats: ['es'], fileName: () => 'leat.js' },
  },
});
