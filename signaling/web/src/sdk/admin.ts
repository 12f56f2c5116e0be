// The requests of an administrator of the room.

import type { RoomPolicy } from './access';
import type { Request } from './channel';
import type { MediaKind } from './roster';

/**
 * Each request resolves when the server has carried it out, and rejects with a `SignalError` when it refuses:
 * `TOKEN_PERMISSION` if the token does not have the permission `admin`, `NO_SUCH_PEER` or `NO_SUCH_PRODUCER` if the
 * object is gone. A request during which the connection is lost rejects, and may have been carried out.
 */
export class RoomAdmin {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  /**
   * Removes a peer and revokes its token; with `wholeUser`, all tokens that the user has got so far.
   * `reason` is for the user, at most 256 characters.
   */
  async kick(peerId: string, { reason = '', wholeUser = false } = {}): Promise<void> {
    await this.#request({ case: 'kick', value: { peerId, reason, wholeUser } }, 'ack');
  }

  /**
   * Removes all peers of a user and bans it from the room: for `seconds`, or until the room ends. A peer without a token is
   * banned by its name. Rejects with `LIMIT` if too many are banned; `clearBans` ends all bans.
   */
  async ban(peerId: string, { reason = '', seconds = 0 } = {}): Promise<void> {
    await this.#request({ case: 'kick', value: { peerId, reason, ban: true, banSeconds: seconds } }, 'ack');
  }

  /** Ends all bans of the room. */
  async clearBans(): Promise<void> {
    await this.#request({ case: 'setRoom', value: { clearBans: true } }, 'ack');
  }

  /**
   * Makes a peer an administrator until it leaves, or ends that; also of this client itself (`CallView.peerId`).
   */
  async setAdmin(peerId: string, admin: boolean): Promise<void> {
    await this.#request({ case: 'setAdmin', value: { peerId, admin } }, 'ack');
  }

  /** Ends the call for all, this client too. `reason` is for them, at most 256 characters. */
  async endRoom(reason = ''): Promise<void> {
    await this.#request({ case: 'endRoom', value: { reason } }, 'ack');
  }

  /**
   * Mutes all that a peer sends, also later, or all of one kind; or ends the mute. The peer cannot end it. After
   * the end, the user decides whether to unmute.
   */
  async mutePeer(peerId: string, muted: boolean, kind?: MediaKind): Promise<void> {
    await this.#request({ case: 'mutePeer', value: { peerId, muted, kind: kind ?? '' } }, 'ack');
  }

  /** Mutes one source of a peer (`SourceView.id`), or ends the mute. */
  async muteSource(sourceId: string, muted: boolean): Promise<void> {
    await this.#request({ case: 'muteProducer', value: { producerId: sourceId, muted } }, 'ack');
  }

  /** Changes the policy of the room; what is absent stays as it is. All peers get the new one (`CallView.policy`). */
  async setRoom({ maxPeers, ...change }: Partial<Omit<RoomPolicy, 'bans'>>): Promise<void> {
    // The message has 0 for the maximum of the server.
    const value = maxPeers === undefined ? change : { ...change, maxPeers: maxPeers ?? 0 };
    await this.#request({ case: 'setRoom', value }, 'ack');
  }

  /** Admits a client that waits (`CallView.waitingClients`). */
  async admit(waitingId: string): Promise<void> {
    await this.#request({ case: 'admitPeer', value: { waitingId } }, 'ack');
  }

  /** Refuses a client that waits. `reason` is for the user, at most 256 characters. */
  async deny(waitingId: string, reason = ''): Promise<void> {
    await this.#request({ case: 'denyPeer', value: { waitingId, reason } }, 'ack');
  }
}
