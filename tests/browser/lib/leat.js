// Starts `leat up` on its own ports, finds the processes below it, and ends them again. Only processes
// started here are signalled, each by its pid.

import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IS_IPV6, LOOPBACK, LOOPBACK_HOST, loopback } from './family.js';
import { machineLoad, PATIENCE_MS, until } from './wait.js';

export const ROOT = resolve(fileURLToPath(import.meta.url), '../../../..');
export const LEAT_BIN = resolve(process.env.LEAT_BIN ?? join(ROOT, 'target/debug/leat'));

/** Screenshots and logs for a person to read after a run. */
export const ARTEFACTS = join(ROOT, 'target/browser');
/** Every state of the app. */
export const SCREENSHOTS = join(ROOT, 'target/test/screenshots');

const STOP_TIMEOUT_MS = PATIENCE_MS;
/** More than one, so that tests cover the distribution over workers; the same number on every machine. */
const WORKERS = 2;
/**
 * The range in which the engine's ports are searched: below the system's ephemeral ports, which start at
 * 32768 on Linux.
 */
const RTC_PORT_MIN = 20_000;
const RTC_PORT_MAX = 32_000;
/** Number of the servers' last log lines in a failure message. */
const LOG_LINES_MAX = 400;

export class Leat {
  #process;
  #folder;
  #lines = [];
  url;
  /** The engine's media ports: one for each worker. */
  rtcPorts = [];
  /** The ports of the TURN server: for UDP and TCP, and for TLS if it has a certificate. */
  turnPort;
  turnTlsPort;

  /**
   * `args` are appended to the arguments of every test: `['--secret', …]`. `media` is the text of a
   * `media.yml`, `env` are additional environment variables.
   */
  static async start(args = [], media = null, env = {}) {
    accessSync(LEAT_BIN, constants.X_OK);
    const leat = new Leat();
    leat.#folder = mkdtempSync(join(tmpdir(), 'leat-browser-'));
    const http = await freeTcpPort();
    // The engine's ports, and after them the TURN server's.
    const rtc = await freePorts(WORKERS + 2);
    leat.turnPort = rtc + WORKERS;
    leat.turnTlsPort = rtc + WORKERS + 1;
    leat.rtcPorts = Array.from({ length: WORKERS }, (_, worker) => rtc + worker);
    const all = [
      'up',
      '--http',
      `${LOOPBACK_HOST}:${http}`,
      // Tests use loopback only, whatever networks the machine has.
      ...loopback().flatMap((address) => ['--listen-ip', address]),
      '--workers',
      String(WORKERS),
      '--rtc-port',
      String(rtc),
      // A test may have another port, or none.
      ...(args.includes('--turn-port') ? [] : ['--turn-port', String(leat.turnPort)]),
      '--turn-tls-port',
      String(leat.turnTlsPort),
      '--control-socket',
      join(leat.#folder, 'control.sock'),
      ...leat.#mediaFile(media),
      ...args,
    ];
    leat.url = `http://${LOOPBACK_HOST}:${http}`;
    leat.#process = spawn(LEAT_BIN, all, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: leat.#folder,
      env: { ...leat.#env, ...env },
    });
    for (const stream of [leat.#process.stdout, leat.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        leat.#lines.push(...text.split('\n').filter(Boolean));
        leat.#lines.splice(0, leat.#lines.length - LOG_LINES_MAX);
      });
    }
    try {
      await until('leat up answers over HTTP', () => leat.#answers());
    } catch (error) {
      await leat.stop();
      throw new Error(`${error.message} (${machineLoad()})\n${leat.log}`);
    }
    return leat;
  }

  #mediaFile(text) {
    if (text === null) return [];
    const file = join(this.#folder, 'media.yml');
    writeFileSync(file, text);
    return ['--media', file];
  }

  get log() {
    return this.#lines.join('\n');
  }

  /** The database is in the folder of this server, also for the commands of `shell`. */
  get #env() {
    const path = `${dirname(LEAT_BIN)}${delimiter}${process.env.PATH}`;
    return { ...process.env, XDG_STATE_HOME: join(this.#folder, 'state'), LEAT_DATABASE: undefined, PATH: path };
  }

  /** Runs a shell script with `leat` in its PATH, for example `leat keys add`. Returns its output. */
  shell(script) {
    return execFileSync('sh', ['-euc', script], { cwd: this.#folder, env: this.#env, encoding: 'utf8', timeout: PATIENCE_MS });
  }

  async #answers() {
    if (this.#process.exitCode !== null) throw new Error(`leat up ended with code ${this.#process.exitCode}`);
    const response = await fetch(this.url).catch(() => null);
    return response?.ok ?? false;
  }

  /** The pid of the process of that name below `leat up`, or null while there is none. */
  pidOf(name) {
    return descendants(this.#process.pid).find((pid) => nameOf(pid) === name) ?? null;
  }

  /** `kill -9`, as a crash would. Returns the pid of the killed process. */
  crash(name) {
    const pid = this.pidOf(name);
    if (pid === null) throw new Error(`${name} does not run below leat up (${this.#process.pid})`);
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /**
   * Stops `leat up` itself, but no process below it, until `resume`: in that time no process is restarted.
   */
  pause() {
    this.#process.kill('SIGSTOP');
  }

  resume() {
    this.#process.kill('SIGCONT');
  }

  /** Ctrl-C; all processes must end. */
  async stop() {
    const { pid, exitCode, signalCode } = this.#process;
    if (exitCode === null && signalCode === null) {
      const below = descendants(pid);
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGINT');
      const late = Symbol('late');
      // Unreferenced: a timer that is still running would keep the test process from ending.
      const timer = new Promise((done) => setTimeout(done, STOP_TIMEOUT_MS, late).unref());
      const outcome = await Promise.race([ended, timer]);
      if (outcome === late) {
        for (const child of [pid, ...below]) endQuietly(child);
        throw new Error(`leat up did not end within ${STOP_TIMEOUT_MS} ms of SIGINT\n${this.log}`);
      }
      const left = below.filter((child) => nameOf(child)?.startsWith('leat'));
      for (const child of left) endQuietly(child);
      if (left.length > 0) throw new Error(`leat up left processes behind: ${left}\n${this.log}`);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function endQuietly(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

function descendants(pid) {
  let tasks;
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  const children = tasks.flatMap((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function nameOf(pid) {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
  } catch {
    return null;
  }
}

export async function freeTcpPort() {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * The first of `count` ports in a row that are free over UDP and TCP: each worker of the engine uses one of
 * each.
 */
export async function freePorts(count) {
  const start = RTC_PORT_MIN + Math.floor(Math.random() * (RTC_PORT_MAX - RTC_PORT_MIN - count));
  for (let base = start; base + count <= RTC_PORT_MAX; base += count) {
    const sockets = [];
    try {
      for (let port = base; port < base + count; port += 1) {
        const socket = createSocket(IS_IPV6 ? 'udp6' : 'udp4');
        sockets.push(socket);
        socket.bind(port, LOOPBACK);
        // `once` rejects on 'error', which means that the port is in use.
        await once(socket, 'listening');
        const server = createServer();
        sockets.push(server);
        server.listen(port, LOOPBACK);
        await once(server, 'listening');
      }
      return base;
    } catch {
      // In use: try the next ones.
    } finally {
      for (const socket of sockets) socket.close();
    }
  }
  throw new Error(`no ${count} ports in a row are free from ${start} to ${RTC_PORT_MAX}`);
}
