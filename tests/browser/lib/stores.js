// Starts PostgreSQL, Redis and NATS on ports of their own, in temporary folders, and ends them again.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.js';

const HOST = '127.0.0.1';

async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function isListening(port) {
  return new Promise((done) => {
    const socket = connect(port, HOST);
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** A server that can be ended and started again with the same port and files. */
export class StoreServer {
  #name;
  #command;
  #options;
  #process = null;
  port;
  folder;

  constructor(name, port, folder, command, options = {}) {
    this.#name = name;
    this.#command = command;
    this.#options = options;
    this.port = port;
    this.folder = folder;
  }

  async start() {
    const [program, ...args] = this.#command;
    this.#process = spawn(program, args, { stdio: 'ignore', ...this.#options });
    // An 'error' means that the program does not exist.
    this.#process.on('error', () => {});
    await until(`${this.#name} listens`, () => {
      const { exitCode, pid } = this.#process;
      if (pid === undefined || exitCode !== null) throw new Error(`${program} did not start`);
      return isListening(this.port);
    });
    return this;
  }

  /** Ends it without notice, as a crash would; PostgreSQL ends its processes. */
  async stop(signal = 'SIGKILL') {
    if (this.#process === null || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill(signal);
    await ended;
  }

  async remove() {
    await this.stop(this.#name === 'PostgreSQL' ? 'SIGQUIT' : 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function startRedis() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'leat-redis-'));
  // Debian 13 has Valkey beside it, which starts with the same options.
  const program = existsSync('/usr/bin/redis-server') ? 'redis-server' : 'valkey-server';
  const args = ['--bind', HOST, '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', folder];
  return new StoreServer('Redis', port, folder, [program, ...args]).start();
}

export async function startNats() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'leat-nats-'));
  return new StoreServer('NATS', port, folder, ['nats-server', '-js', '-a', HOST, '-p', String(port), '-sd', folder]).start();
}

export async function startPostgres() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'leat-postgres-'));
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  const program = (name) => join('/usr/lib/postgresql', versions[0], 'bin', name);
  const options = { cwd: folder };
  // It refuses to run as root.
  if (process.getuid() === 0) {
    const [, , uid, gid] = readFileSync('/etc/passwd', 'utf8')
      .match(/^postgres:.*$/m)[0]
      .split(':');
    Object.assign(options, { uid: Number(uid), gid: Number(gid) });
    chownSync(folder, options.uid, options.gid);
  }
  const data = join(folder, 'data');
  const made = spawnSync(program('initdb'), ['--no-sync', '--auth=trust', '--username=leat', '--pgdata', data], options);
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const args = ['-D', data, '-k', folder, '-h', HOST, '-p', String(port), '-c', 'fsync=off'];
  const server = new StoreServer('PostgreSQL', port, folder, [program('postgres'), ...args], options);
  await server.start();
  return server;
}
