// A web site of another origin than Leat: a page that publishes by WHIP and plays by WHEP.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { LOOPBACK, LOOPBACK_HOST } from './family.js';
import { ROOT } from './leat.js';

const LIB = join(ROOT, 'tests/browser/lib');
// The bundler of the web app.
const { rolldown } = createRequire(join(ROOT, 'signaling/web/package.json'))('rolldown');

const PAGE = `<!doctype html><title>site</title><body>
<script src="/whip_page.js"></script>
<script type="module">import * as clients from '/clients.js'; window.clients = clients;</script>`;

/** The clients of npm packages, as one module. */
async function bundle() {
  const build = await rolldown({ input: join(LIB, 'web_clients.js'), platform: 'browser', logLevel: 'silent' });
  const { output } = await build.generate({ format: 'esm' });
  return output[0].code;
}

export class Site {
  #server;
  url;

  static async start() {
    const script = readFileSync(join(LIB, 'whip_page.js'), 'utf8');
    const files = {
      '/': ['text/html', PAGE],
      '/whip_page.js': ['text/javascript', script],
      '/clients.js': ['text/javascript', await bundle()],
    };
    const site = new Site();
    site.#server = createServer((request, answer) => {
      const [type, body] = files[request.url] ?? [];
      if (type === undefined) answer.writeHead(404).end();
      else answer.setHeader('Content-Type', type).end(body);
    });
    site.#server.listen(0, LOOPBACK);
    await once(site.#server, 'listening');
    site.url = `http://${LOOPBACK_HOST}:${site.#server.address().port}`;
    return site;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
