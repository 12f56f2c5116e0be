// Faults on purpose, for tests of an application and of a network. Each of them is repaired as a real one.

import type { SignalChannel } from './channel';
import type { MediaLifecycle } from './lifecycle';

export class Faults {
  readonly #channel: SignalChannel;
  readonly #lifecycle: MediaLifecycle;

  /** @internal */
  constructor(channel: SignalChannel, lifecycle: MediaLifecycle) {
    this.#channel = channel;
    this.#lifecycle = lifecycle;
  }

  /** The signaling connection is replaced. Media continues. */
  dropSignaling(): void {
    this.#channel.reopen();
  }

  /** Both transports restart ICE, as after a change of the network. */
  restartIce(): void {
    this.#lifecycle.media?.requireRestart();
  }

  /** As after an ICE restart without a result: new transports over a relay. Without a TURN server there is no path. */
  switchToRelay(): void {
    this.#lifecycle.recovery.handleIceFailure();
  }

  /** As after a relay without a result. */
  rejoin(): void {
    this.#lifecycle.rejoin();
  }
}
