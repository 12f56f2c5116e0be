// A client of WHIP or WHEP in its own process, which prints one JSON object a line.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { machineLoad, PATIENCE_MS, until } from './wait.js';

/** Lines of a failure message. */
const LINES_MAX = 60;

export class ClientProcess {
  #process;
  #ended;
  name;
  events = [];
  /** What it printed that is no event. */
  lines = [];

  constructor(name, command, args) {
    this.name = name;
    this.#process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = once(this.#process, 'close');
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#read(line));
    createInterface({ input: this.#process.stderr }).on('line', (line) => this.#keep(line));
  }

  #read(line) {
    try {
      this.events.push(JSON.parse(line));
    } catch {
      this.#keep(line);
    }
  }

  #keep(line) {
    this.lines.push(line);
    this.lines.splice(0, this.lines.length - LINES_MAX);
  }

  last(event) {
    return this.events.findLast((one) => one.event === event);
  }

  async #until(what, probe) {
    await until('', () => probe() || this.#process.exitCode !== null).catch(() => undefined);
    if (probe()) return;
    const others = this.events.filter(({ event }) => event !== 'counts').map((one) => JSON.stringify(one));
    const log = [...others, ...this.lines].join('\n');
    throw new Error(`${this.name}: not ${what} (exit code ${this.#process.exitCode}, ${machineLoad()})\n${log}`);
  }

  async connected() {
    await this.#until('answered', () => this.last('answer') !== undefined);
    const { status, answer } = this.last('answer');
    assert.equal(status, 201, `${this.name}: ${answer}`);
    await this.#until('connected', () => this.last('state')?.connection === 'connected');
  }

  /** Waits until it has received this many more frames and audio packets. */
  async receives({ frames, packets }) {
    const { video, audio } = this.last('counts') ?? { video: 0, audio: 0 };
    const now = () => this.last('counts') ?? { video: 0, audio: 0 };
    await this.#until(`receiving ${frames} frames and ${packets} packets of audio: ${JSON.stringify(now())}`, () => {
      return now().video - video >= frames && now().audio - audio >= packets;
    });
  }

  /** Ends the session with DELETE, and the process. Returns the status. */
  async stop() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM');
      const timer = setTimeout(() => this.#process.kill('SIGKILL'), PATIENCE_MS);
      await this.#ended;
      clearTimeout(timer);
    }
    return this.last('deleted')?.status;
  }
}
