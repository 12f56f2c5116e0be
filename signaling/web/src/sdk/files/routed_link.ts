// The link of a room: one one-way channel for each receiver of messages, and one for all. A channel is opened with the
// first message to its receiver; data producers of mediasoup-client are such channels.

import type { FileLink, FileLinkEvents } from './file_link';
import { WAITING_MESSAGES_MAX } from './limits';

/** The part of an RTCDataChannel or a DataProducer that sends. */
export interface Outlet {
  readonly readyState: RTCDataChannelState;
  readonly bufferedAmount: number;
  bufferedAmountLowThreshold: number;
  send(message: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** What an `Outlet` reports. */
export interface OutletEvents {
  onOpen(): void;
  onLow(): void;
  onClosed(): void;
}

/** Opens the channel to a peer, or with null to all peers of the room. */
export type OpenOutlet = (to: string | null, events: OutletEvents) => Promise<Outlet>;

interface Route {
  outlet: Outlet | null;
  readonly waiting: Uint8Array<ArrayBuffer>[];
}

/** The `FileLink` of a room: one channel for each receiver, and one for all. */
export class RoutedLink implements FileLink {
  bufferedAmountLowThreshold = 0;
  readonly #open: OpenOutlet;
  readonly #routes = new Map<string | null, Route>();
  #events: FileLinkEvents | null = null;
  #isOpen = false;

  constructor(open: OpenOutlet) {
    this.#open = open;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get bufferedAmount(): number {
    let sum = 0;
    for (const { outlet, waiting } of this.#routes.values()) {
      sum += outlet?.bufferedAmount ?? 0;
      for (const message of waiting) sum += message.length;
    }
    return sum;
  }

  listen(events: FileLinkEvents | null): void {
    this.#events = events;
  }

  /** The transports are connected, or not any more. Channels of the former ones are closed. */
  setOpen(isOpen: boolean): void {
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    if (isOpen) this.#events?.onOpen();
    else {
      for (const to of [...this.#routes.keys()]) this.#drop(to);
      this.#events?.onClosed();
    }
  }

  /** A message of a data consumer; `from` is the peer of its producer. */
  receive(from: string, message: Uint8Array): void {
    this.#events?.onMessage(from, message);
  }

  onPeerLeft(peerId: string): void {
    this.#drop(peerId);
  }

  send(message: Uint8Array<ArrayBuffer>, to: string | null): void {
    if (!this.#isOpen) throw new Error('The channel is closed.');
    const route = this.#routes.get(to) ?? this.#newRoute(to);
    if (route.outlet?.readyState === 'open') route.outlet.send(message);
    else if (route.waiting.length < WAITING_MESSAGES_MAX) route.waiting.push(message);
  }

  #newRoute(to: string | null): Route {
    const route: Route = { outlet: null, waiting: [] };
    this.#routes.set(to, route);
    const events: OutletEvents = {
      onOpen: () => this.#flush(route),
      onLow: () => this.#events?.onLow(),
      // The next message opens another one.
      onClosed: () => this.#routes.get(to) === route && this.#drop(to),
    };
    this.#open(to, events).then(
      (outlet) => {
        if (this.#routes.get(to) !== route) {
          outlet.close();
          return;
        }
        outlet.bufferedAmountLowThreshold = this.bufferedAmountLowThreshold;
        route.outlet = outlet;
        this.#flush(route);
      },
      () => events.onClosed(),
    );
    return route;
  }

  #flush({ outlet, waiting }: Route): void {
    if (outlet?.readyState !== 'open') return;
    for (const message of waiting.splice(0)) outlet.send(message);
    this.#events?.onLow();
  }

  #drop(to: string | null): void {
    const route = this.#routes.get(to);
    this.#routes.delete(to);
    if (route?.outlet && route.outlet.readyState !== 'closed') route.outlet.close();
  }
}

/** The events of a DataProducer of mediasoup-client. */
export interface ProducerEvents {
  on(event: 'open' | 'bufferedamountlow' | 'close' | 'transportclose', listener: () => void): unknown;
}

/** Connects the events of a DataProducer, which is an `Outlet` itself. */
export function producerOutlet<P extends Outlet & ProducerEvents>(producer: P, { onOpen, onLow, onClosed }: OutletEvents): P {
  producer.on('open', onOpen);
  producer.on('bufferedamountlow', onLow);
  producer.on('close', onClosed);
  producer.on('transportclose', onClosed);
  return producer;
}
