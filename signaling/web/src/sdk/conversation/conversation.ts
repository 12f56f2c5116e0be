// What the participants say to each other without media: the chat of this call, raised hands, and reactions. It is in the
// memory of this client only, from its join on.

import type { DataCipher } from '../data_outlet';
import { messageOf } from '../errors';
import type { Roster } from '../roster';
import { emptyRoster } from '../roster';
import { WebRTCError } from '../webrtc_error';
import { type Hands, handsOf, inOrder, nextOrder, noHands, withHand } from './hands';
import { MessageLink } from './message_link';
import { CHAT_LENGTH_MAX, type Content, cleaned, isEmoji, type Message } from './wire';

/** Messages of the chat that are kept; the oldest are dropped. */
const CHAT_MESSAGES_MAX = 1_000;
/** How long a reaction is shown. */
export const REACTION_MS = 5_000;
/** Reactions at once; the oldest is dropped for one more. */
const REACTIONS_MAX = 50;

/** One message of the chat. */
export interface ChatMessage {
  /** Unique in this call. */
  readonly id: string;
  /** The peer id of the sender, who may have left. */
  readonly from: string;
  /** The name of the sender at that time. */
  readonly name: string;
  readonly isOwn: boolean;
  /** The only receiver; null: the room. */
  readonly to: string | null;
  /** The name of the receiver at that time; null: the room. */
  readonly toName: string | null;
  /** Plain text. */
  readonly text: string;
  /** When this client sent or received it, in milliseconds since 1970. */
  readonly at: number;
  /** Of an own message: whether the server has it. */
  readonly state: 'sending' | 'sent' | 'failed';
  /** Why it failed. */
  readonly error: string | null;
}

/** A reaction that a participant has sent. */
export interface Reaction {
  /** Unique in this call. */
  readonly id: string;
  readonly from: string;
  readonly emoji: string;
}

/** Chat, raised hands and reactions, as a user interface needs them. */
export interface ConversationView {
  /** The oldest first. */
  readonly chat: readonly ChatMessage[];
  /** Peer ids of those who have raised a hand, this client among them; the first one first. */
  readonly hands: readonly string[];
  /** Those of the last seconds. */
  readonly reactions: readonly Reaction[];
}

export interface ConversationEvents {
  send(to: readonly string[], topic: string, body: Uint8Array): Promise<unknown>;
  cipher(): DataCipher | null;
  mayPublishData(): boolean;
  /** Peer id and name of this client. */
  self(): { readonly peerId: string; readonly name: string };
  onChange(): void;
  onMessage(message: ChatMessage): void;
  onReaction(reaction: Reaction): void;
  note(what: string): void;
}

export class Conversation {
  readonly #events: ConversationEvents;
  readonly #link: MessageLink;
  #view: ConversationView = { chat: [], hands: [], reactions: [] };
  #hands: Hands = noHands;
  /** The place of this client's hand; null: it is down. */
  #own: number | null = null;
  #hasRaised = false;
  #roster: Roster = emptyRoster;
  #id = 0;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #ended = false;

  constructor(events: ConversationEvents) {
    this.#events = events;
    this.#link = new MessageLink({
      send: events.send,
      cipher: events.cipher,
      ownId: () => events.self().peerId,
      onMessage: (from, message) => this.#onMessage(from, message),
      note: events.note,
    });
  }

  get view(): ConversationView {
    return this.#view;
  }

  /** Sends a text to the room, or to one peer. Returns the id of the message. */
  sendChat(text: string, to: string | null): string {
    const message = this.#newMessage(text, to);
    this.#set({ chat: [...this.#view.chat, message].slice(-CHAT_MESSAGES_MAX) });
    void this.#deliver(message);
    return message.id;
  }

  /** Sends a message again that failed. */
  retryChat(id: string): void {
    const found = this.#view.chat.find((message) => message.id === id && message.state === 'failed');
    if (!found) return;
    this.#demand();
    this.#update(id, { state: 'sending', error: null });
    void this.#deliver(found);
  }

  #newMessage(given: string, to: string | null): ChatMessage {
    this.#demand();
    const text = cleaned(given);
    if (text === '') throw new WebRTCError('BAD_REQUEST', 'The message is empty.');
    if (text.length > CHAT_LENGTH_MAX) {
      const lengths = `at most ${CHAT_LENGTH_MAX} characters, and this one has ${text.length}`;
      throw new WebRTCError('BAD_REQUEST', `A message may have ${lengths}.`);
    }
    const receiver = to === null ? null : this.#roster.get(to);
    if (receiver === undefined) throw new WebRTCError('NOT_FOUND', 'This person is not in the room any more.');
    const { peerId, name } = this.#events.self();
    const own = { from: peerId, name, isOwn: true, to, toName: receiver?.name ?? null };
    return { id: this.#newId(), ...own, text, at: Date.now(), state: 'sending', error: null };
  }

  async #deliver({ id, text, to }: ChatMessage): Promise<void> {
    try {
      await this.#link.send({ kind: 'chat', text }, to === null ? [] : [to]);
      this.#update(id, { state: 'sent' });
    } catch (error) {
      this.#update(id, { state: 'failed', error: messageOf(error) });
    }
  }

  #update(id: string, change: Partial<ChatMessage>): void {
    this.#set({ chat: this.#view.chat.map((message) => (message.id === id ? { ...message, ...change } : message)) });
  }

  setHand(raised: boolean): void {
    if (raised) this.#demand();
    if (raised === (this.#own !== null)) return;
    this.#own = raised ? nextOrder(this.#hands) : null;
    this.#hasRaised = true;
    this.#announceHand([]);
    this.#setHands(withHand(this.#hands, this.#events.self().peerId, this.#own));
  }

  react(emoji: string): void {
    this.#demand();
    if (!isEmoji(emoji)) throw new WebRTCError('BAD_REQUEST', 'A reaction is one emoji.');
    this.#tell({ kind: 'reaction', emoji });
    this.#addReaction(this.#events.self().peerId, emoji);
  }

  /** Throws if the token does not permit messages. */
  #demand(): void {
    if (this.#ended) throw new WebRTCError('CLOSED', 'The call has ended.');
    if (!this.#events.mayPublishData()) throw new WebRTCError('PERMISSION_DENIED', 'You may not send data in this room.');
  }

  #announceHand(to: readonly string[]): void {
    this.#tell({ kind: 'hand', raised: this.#own !== null, order: this.#own ?? 0 }, to);
  }

  #tell(content: Content, to: readonly string[] = []): void {
    this.#link
      .send(content, to)
      .catch((error) => this.#ended || this.#events.note(`a ${content.kind} was not sent: ${messageOf(error)}`));
  }

  /** This client has a place in the room. `replayed`: it gets all that it missed. */
  onJoined(replayed: boolean): void {
    const { peerId } = this.#events.self();
    // A peer whose hand is up announces it again to a peer that joins or returns.
    const others = replayed ? handsOf(this.#hands, (id) => this.#roster.has(id)) : noHands;
    this.#setHands(withHand(others, peerId, this.#own));
    if (this.#hasRaised) this.#announceHand([]);
  }

  /** Cheap if nothing has changed. */
  setRoster(roster: Roster): void {
    if (roster === this.#roster) return;
    const before = this.#roster;
    this.#roster = roster;
    for (const peerId of before.keys()) if (!roster.has(peerId)) this.#link.forget(peerId);
    const { peerId } = this.#events.self();
    this.#setHands(handsOf(this.#hands, (id) => id === peerId || roster.has(id)));
    const isBack = (id: string) => !before.has(id) || before.get(id)?.away;
    const came = [...roster].filter(([id, { away }]) => !away && isBack(id)).map(([id]) => id);
    if (this.#own !== null && came.length > 0) this.#announceHand(came);
  }

  receive(from: string, body: Uint8Array): void {
    this.#link.receive(from, body);
  }

  /** Another key can be used: of this peer, or with null of this client. */
  onKey(peerId: string | null): void {
    if (peerId !== null) this.#link.onKey(peerId);
    // Who joined before this key was made could not decrypt the announcement.
    else if (this.#own !== null) this.#announceHand([]);
  }

  #onMessage(from: string, { to, content }: Message): void {
    switch (content.kind) {
      case 'chat': {
        const name = this.#roster.get(from)?.name ?? from;
        const self = this.#events.self();
        const receiver = to.length > 0 ? { to: self.peerId, toName: self.name } : { to: null, toName: null };
        const rest = { isOwn: false, text: content.text, at: Date.now(), state: 'sent', error: null } as const;
        const message: ChatMessage = { id: this.#newId(), from, name, ...receiver, ...rest };
        this.#set({ chat: [...this.#view.chat, message].slice(-CHAT_MESSAGES_MAX) });
        this.#events.onMessage(message);
        break;
      }
      case 'hand':
        if (this.#roster.has(from)) this.#setHands(withHand(this.#hands, from, content.raised ? content.order : null));
        break;
      case 'reaction':
        this.#addReaction(from, content.emoji);
        break;
    }
  }

  #addReaction(from: string, emoji: string): void {
    const reaction = { id: this.#newId(), from, emoji };
    this.#set({ reactions: [...this.#view.reactions, reaction].slice(-REACTIONS_MAX) });
    this.#events.onReaction(reaction);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#set({ reactions: this.#view.reactions.filter(({ id }) => id !== reaction.id) });
    }, REACTION_MS);
    this.#timers.add(timer);
  }

  #setHands(hands: Hands): void {
    if (hands === this.#hands) return;
    this.#hands = hands;
    this.#set({ hands: inOrder(hands) });
  }

  #newId(): string {
    this.#id += 1;
    return `m${this.#id}`;
  }

  #set(change: Partial<ConversationView>): void {
    if (this.#ended) return;
    this.#view = { ...this.#view, ...change };
    this.#events.onChange();
  }

  end(): void {
    this.#ended = true;
    this.#link.end();
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
