/// <reference types="vitest/config" />
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { proxy } from './vite.proxy.ts';

// `npm run dev` serves the page and forwards the signaling server's paths to it.
export default defineConfig({
  plugins: [react()],
  server: { proxy },
  build: {
    target: 'es2022',
    // The binary embeds dist/: one script, one style sheet, and no files from other servers.
    assetsInlineLimit: 8192,
    chunkSizeWarningLimit: 900,
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
    setupFiles: ['src/fake_stream.ts'],
    // Tests wait for conditions with shorter limits, so a busy machine does not reach these.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
