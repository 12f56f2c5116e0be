// Prometheus scrapes engine, signaling and TURN server during a call. Every query of every dashboard has a
// result, the alert rules pass their tests, and the pages contain no name.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DASHBOARDS, dashboard, queries, written } from './lib/dashboards.js';
import { freePorts, freeTcpPort, ROOT } from './lib/leat.js';
import { seeAndHear } from './lib/meeting.js';
import { inRoom } from './lib/room.js';
import { StoreServer } from './lib/stores.js';
import { TEST_LIMIT, until } from './lib/wait.js';

const DEPLOY = join(ROOT, 'docs/deploy/prometheus');
const PROCESSES = ['engine', 'signaling', 'turn'];

/** Debian's Prometheus. `targets` are the addresses by job. */
async function startPrometheus(targets) {
  const folder = mkdtempSync(join(tmpdir(), 'leat-prometheus-'));
  const file = join(folder, 'prometheus.yml');
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(DEPLOY, 'leat.rules.yml')],
    scrape_configs: Object.entries(targets).map(([name, target]) => ({
      job_name: name,
      static_configs: [{ targets: [target] }],
    })),
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const port = await freeTcpPort();
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`];
  return new StoreServer('Prometheus', port, folder, ['prometheus', ...args]).start();
}

/** The data of an answer of Prometheus' HTTP API. */
async function ask({ port }, path) {
  const answer = await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json();
  assert.equal(answer.status, 'success', `${path}: ${JSON.stringify(answer)}`);
  return answer.data;
}

/** The series of an instant query. */
const query = async (prometheus, expr) => (await ask(prometheus, `query?query=${encodeURIComponent(expr)}`)).result;

test('the dashboards in docs are those of lib/dashboards.js', () => {
  for (const one of DASHBOARDS) assert.equal(written(one), dashboard(one), `run "npm run dashboards" for ${one.name}`);
});

test('the alert rules pass their tests, and operations.md says what to do', () => {
  execFileSync('promtool', ['check', 'config', 'prometheus.yml'], { cwd: DEPLOY, stdio: 'pipe' });
  execFileSync('promtool', ['test', 'rules', 'leat.rules.test.yml'], { cwd: DEPLOY, stdio: 'pipe' });
  const operations = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const rules = readFileSync(join(DEPLOY, 'leat.rules.yml'), 'utf8');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  assert.ok(alerts.length > 5, rules);
  for (const name of alerts) assert.ok(operations.includes(`<a id="${name.toLowerCase()}"></a>\`${name}\``), name);
});

test('Prometheus scrapes all processes during a call', TEST_LIMIT, async (t) => {
  const port = await freePorts(PROCESSES.length);
  const targets = Object.fromEntries(PROCESSES.map((name, at) => [`leat-${name}`, `127.0.0.1:${port + at}`]));
  const prometheus = await startPrometheus(targets);
  const args = ['--metrics', `127.0.0.1:${port}`];
  try {
    await inRoom(t, { names: ['Ada', 'Grace'], args }, async ({ leat, peers, step }) => {
      await seeAndHear(peers, { frames: 50 });

      await step('every target is up', async () => {
        await until('Prometheus scrapes all three', async () => (await query(prometheus, 'sum (up)'))[0]?.value[1] === '3');
        const { activeTargets } = await ask(prometheus, 'targets?state=active');
        assert.deepEqual(
          activeTargets.map(({ lastError }) => lastError),
          ['', '', ''],
        );
      });

      await step('every query of every dashboard has a result', async () => {
        for (const { where, expr } of queries()) {
          await until(`${where} (${expr})`, async () => (await query(prometheus, expr)).length > 0);
        }
      });

      await step('the metrics are those of the call', async () => {
        const value = async (expr) => Number((await query(prometheus, expr))[0]?.value[1] ?? Number.NaN);
        await until('media is counted', async () => (await value('sum (rate(leat_engine_rtp_out_total[10s]))')) > 10);
        assert.equal(await value('leat_signaling_peers'), 2);
        assert.equal(await value('leat_signaling_rooms'), 1);
        assert.equal(await value('sum (leat_signaling_transports)'), await value('sum (leat_engine_transports)'));
        assert.equal(await value('leat_signaling_requests_total{request="JoinRoom",code="OK"}'), 2);
      });

      await step('no page contains the name of a room, a user or an address', async () => {
        for (const [name, target] of Object.entries(targets)) {
          const page = await (await fetch(`http://${target}/metrics`)).text();
          assert.ok(page.endsWith('# EOF\n'), name);
          for (const word of ['millpond', 'Ada', 'Grace', '127.0.0.1']) assert.ok(!page.includes(word), `${word} is in ${name}`);
        }
      });

      await step('the engine has its metrics while signaling is away, and an alert fires', async () => {
        const health = async (at) => (await fetch(`http://127.0.0.1:${port + at}/readyz`).catch(() => null))?.status;
        assert.equal(await health(0), 200);
        assert.equal(await health(1), 200);
        leat.pause();
        leat.crash('leat-signaling');
        await until('the engine knows it', async () => (await health(0)) === 503);
        assert.match(await (await fetch(`http://${targets['leat-engine']}/metrics`)).text(), /^leat_engine_attached 0$/m);
        await until('an alert is pending', async () => {
          const { alerts } = await ask(prometheus, 'alerts');
          return alerts.some(({ labels }) => labels.alertname === 'LeatEngineUnattended');
        });
        leat.resume();
        await until('signaling is back', async () => (await health(0)) === 200 && (await health(1)) === 200);
      });
    });
  } finally {
    await prometheus.remove();
  }
});
