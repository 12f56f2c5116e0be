// The chat of a call, as applications use it. The messages are in `CallView.chat`.

import type { Conversation } from './conversation/conversation';

/** The chat, raised hands and reactions of a call. */
export class CallChat {
  readonly #conversation: Conversation;

  /** @internal */
  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  /**
   * Sends a text to the room, or to one peer. Returns the id of the message, whose `state` in `CallView.chat` becomes
   * `sent` or `failed`. Who joins later does not get it. Throws a `WebRTCError`: `BAD_REQUEST` for an empty text or one
   * with more than 4,000 characters, `NOT_FOUND` if the peer is not in the room, `PERMISSION_DENIED` without the
   * permission `canPublishData`.
   */
  send(text: string, to: string | null = null): string {
    return this.#conversation.sendChat(text, to);
  }

  /** Sends a message again whose state is `failed`. */
  retry(id: string): void {
    this.#conversation.retryChat(id);
  }
}
