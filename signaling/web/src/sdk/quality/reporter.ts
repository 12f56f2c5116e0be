// Measures a call for the server, and sends the reports: soon after the join, then at intervals. The last one goes with
// the end of the call (`Leave.quality`, `Goodbye.quality`).

import { ErrorCode } from '../../gen/signal_pb';
import { SignalError } from '../errors';
import { CallMeter } from './call_meter';
import type { Round } from './sampler';
import { hasPicture, type Report } from './samples';

type QualityReport = NonNullable<CallMeter['report']>;

const FIRST_REPORT_MS = 5_000;
const REPORT_MS = 30_000;
/** The first picture is looked for this often, for at most a minute after the first video is there. */
const PICTURE_POLL_MS = 100;
const PICTURE_POLLS_MAX = 600;

export interface ReporterEvents {
  /** Sends a report; rejects if the server refuses it. */
  send(report: QualityReport): Promise<unknown>;
  /** The statistics of what is received; null without transports. */
  received(): Promise<Report> | null;
}

export class QualityReporter {
  readonly #events: ReporterEvents;
  readonly #meter = new CallMeter();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;
  #polls = 0;
  /** The server does not know the message. */
  #isUnknown = false;

  constructor(events: ReporterEvents) {
    this.#events = events;
  }

  /** The last report; null before the join. */
  get report(): QualityReport | null {
    return this.#meter.report;
  }

  /** The client begins to join as a new peer. */
  begin(): void {
    this.stop();
    this.#polls = 0;
    this.#meter.begin(performance.now());
  }

  /** The client is in the room. `hasVideo`: others send video. */
  onJoined(hasVideo: boolean): void {
    this.#meter.onJoined(performance.now(), hasVideo);
    this.#timer ??= setTimeout(() => this.#send(), FIRST_REPORT_MS);
    this.#lookForPicture();
  }

  /** The room has changed. */
  onRoom(hasVideo: boolean): void {
    if (hasVideo) this.#meter.onVideo(performance.now());
    this.#lookForPicture();
  }

  add(round: Round): void {
    this.#meter.add(round);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#poll);
    this.#timer = undefined;
    this.#poll = undefined;
  }

  #lookForPicture(): void {
    if (this.#poll !== undefined || this.#polls > 0 || !this.#meter.isAwaitingPicture) return;
    this.#poll = setInterval(() => void this.#look().catch(() => undefined), PICTURE_POLL_MS);
  }

  async #look(): Promise<void> {
    this.#polls += 1;
    if (this.#polls > PICTURE_POLLS_MAX) return clearInterval(this.#poll);
    const report = await this.#events.received();
    if (!report || !hasPicture(report)) return;
    this.#meter.onPicture(performance.now());
    clearInterval(this.#poll);
  }

  #send(): void {
    const { report } = this.#meter;
    if (!report || this.#isUnknown) return;
    this.#timer = setTimeout(() => this.#send(), REPORT_MS);
    this.#events.send(report).catch((error) => {
      // An older server. After any other error, the next report has the same content and more.
      this.#isUnknown = error instanceof SignalError && error.errorCode === ErrorCode.UNSUPPORTED_MESSAGE;
    });
  }
}
