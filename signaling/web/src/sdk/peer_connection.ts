// A peer connection over the SDP flow (docs/sdp.md): session descriptions go to the server over the signal channel, and
// its answers and offers are applied. It does not join: the application does, with the same channel.

import type { Payload, SignalChannel } from './channel';
import { messageOf } from './errors';
import { WebRTCError, type WebRTCErrorCode } from './webrtc_error';

/** The event `error` of a `PeerConnection`. */
export class WebRTCErrorEvent extends Event {
  constructor(readonly error: WebRTCError) {
    super('error');
  }
}

/**
 * `setLocalDescription`, `addIceCandidate` and `close` return at once and take effect in the order of their calls. If
 * one fails, the event `error` has the reason.
 */
export class PeerConnection extends EventTarget {
  /** For tracks, transceivers, statistics and the events of WebRTC. */
  readonly connection: RTCPeerConnection;
  readonly #request: SignalChannel['request'];
  #last: Promise<void> = Promise.resolve();
  /** Offers of this client without an answer. */
  #offers = 0;
  #closed = false;

  constructor({ request }: Pick<SignalChannel, 'request'>, connection = new RTCPeerConnection()) {
    super();
    this.#request = request;
    this.connection = connection;
    connection.addEventListener('connectionstatechange', () => {
      if (connection.connectionState === 'failed') this.#report('ICE_FAILURE', 'The connection for media has failed.');
    });
  }

  async createOffer(): Promise<RTCSessionDescription> {
    this.#refuseClosed();
    try {
      return new RTCSessionDescription(await this.connection.createOffer());
    } catch (error) {
      throw wrapped('SDP_NEGOTIATION', error);
    }
  }

  /** An offer goes to the server, whose answer is applied; an answer goes to the server. */
  setLocalDescription(desc: RTCSessionDescription): void {
    const isOffer = desc.type === 'offer';
    if (isOffer) this.#offers += 1;
    this.#enqueue('SDP_NEGOTIATION', async () => {
      try {
        await (isOffer ? this.#offer(desc) : this.#answer(desc));
      } finally {
        if (isOffer) this.#offers -= 1;
      }
    });
  }

  /** A candidate of the other side. The server needs none of this side, and its descriptions have all of its own. */
  addIceCandidate(candidate: RTCIceCandidate): void {
    this.#enqueue('SDP_NEGOTIATION', () => this.connection.addIceCandidate(candidate));
  }

  /**
   * A channel to all others of the room, from the next offer on. They get it as a channel of their own, and answer on
   * others: what arrives is on the channels of the event `datachannel` of `connection`.
   */
  createDataChannel(label: string): RTCDataChannel {
    this.#refuseClosed();
    try {
      return this.connection.createDataChannel(label);
    } catch (error) {
      throw wrapped('DATA_CHANNEL', error);
    }
  }

  close(): void {
    this.#closed = true;
    this.connection.close();
  }

  /** For each notification of the channel: an offer of the server is applied and answered. Others are ignored. */
  receive(payload: Payload): void {
    // The server drops its offer when that of this client arrives.
    if (payload.case !== 'offer' || this.#offers > 0 || this.#closed) return;
    const { sdp, id } = payload.value;
    this.#enqueue('SDP_NEGOTIATION', async () => {
      if (this.#offers > 0) return;
      await this.connection.setRemoteDescription({ type: 'offer', sdp });
      await this.#answer(await this.connection.createAnswer(), id);
    });
  }

  override addEventListener(
    type: 'error',
    listener: (event: WebRTCErrorEvent) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(type: string, listener: unknown, options?: boolean | AddEventListenerOptions): void {
    super.addEventListener(type, listener as EventListener, options);
  }

  async #offer(desc: RTCSessionDescription): Promise<void> {
    await this.connection.setLocalDescription(desc);
    const { sdp } = await this.#request({ case: 'offer', value: { sdp: this.#localSdp(desc) } }, 'answer');
    if (!this.#closed) await this.connection.setRemoteDescription({ type: 'answer', sdp });
  }

  /** `offerId`: of the server's offer; 0 is the newest. */
  async #answer(desc: RTCSessionDescriptionInit, offerId = 0): Promise<void> {
    await this.connection.setLocalDescription(desc);
    await this.#request({ case: 'answer', value: { sdp: this.#localSdp(desc), offerId } }, 'ack');
  }

  /** With the candidates so far, if the browser has them in its description. */
  #localSdp({ sdp }: RTCSessionDescriptionInit): string {
    return this.connection.localDescription?.sdp ?? sdp ?? '';
  }

  #enqueue(code: WebRTCErrorCode, act: () => Promise<void>): void {
    this.#last = this.#last.then(async () => {
      try {
        this.#refuseClosed();
        await act();
      } catch (error) {
        this.dispatchEvent(new WebRTCErrorEvent(wrapped(code, error)));
      }
    });
  }

  #refuseClosed(): void {
    if (this.#closed) throw new WebRTCError('CLOSED', 'The peer connection is closed.');
  }

  #report(code: WebRTCErrorCode, message: string): void {
    if (!this.#closed) this.dispatchEvent(new WebRTCErrorEvent(new WebRTCError(code, message)));
  }
}

/** The errors of the browser and the refusals of the server get `code`; `cause` is the error itself. */
function wrapped(code: WebRTCErrorCode, error: unknown): WebRTCError {
  if (error instanceof WebRTCError && (error.code === 'CLOSED' || error.code === 'SIGNALING_LOST')) return error;
  const made = new WebRTCError(code, messageOf(error));
  made.cause = error;
  return made;
}
