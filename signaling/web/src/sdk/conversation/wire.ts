// The messages of `proto/room.proto` as plain values. They come from other people: what is not valid is dropped here.
// Pure.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type RoomMessage, RoomMessageSchema } from '../../gen/room_pb';

/** UTF-16 code units of a chat message. As UTF-8 they are at most 12,000 of the 16,384 bytes that the server permits. */
export const CHAT_LENGTH_MAX = 4_000;
/** UTF-16 code units: a family of four with skin tones has 19. */
const EMOJI_LENGTH_MAX = 32;
const ORDER_MAX = 0xffff_ffff;

export type Content =
  | { readonly kind: 'chat'; readonly text: string }
  | { readonly kind: 'hand'; readonly raised: boolean; readonly order: number }
  | { readonly kind: 'reaction'; readonly emoji: string };

export interface Message {
  readonly number: bigint;
  /** Peer ids; empty: the room. */
  readonly to: readonly string[];
  readonly content: Content;
}

export function encode({ number, to, content }: Message): Uint8Array<ArrayBuffer> {
  return toBinary(RoomMessageSchema, create(RoomMessageSchema, { number, to: [...to], body: bodyOf(content) }));
}

function bodyOf(content: Content) {
  switch (content.kind) {
    case 'chat':
      return { case: 'chat' as const, value: { text: content.text } };
    case 'hand':
      return { case: 'hand' as const, value: { raised: content.raised, order: content.order } };
    case 'reaction':
      return { case: 'reaction' as const, value: { emoji: content.emoji } };
  }
}

/** Null for what no client of this version sends. */
export function decode(bytes: Uint8Array): Message | null {
  let message: RoomMessage;
  try {
    message = fromBinary(RoomMessageSchema, bytes);
  } catch {
    return null;
  }
  const content = contentOf(message);
  return content && message.number > 0n ? { number: message.number, to: message.to, content } : null;
}

function contentOf({ body }: RoomMessage): Content | null {
  switch (body.case) {
    case 'chat': {
      const text = cleaned(body.value.text);
      return text === '' || text.length > CHAT_LENGTH_MAX ? null : { kind: 'chat', text };
    }
    case 'hand': {
      const { raised, order } = body.value;
      return { kind: 'hand', raised, order: Math.min(order, ORDER_MAX) };
    }
    case 'reaction':
      return isEmoji(body.value.emoji) ? { kind: 'reaction', emoji: body.value.emoji } : null;
    default:
      return null;
  }
}

/**
 * A text as it is sent and shown: without spaces around it, without control characters other than tab and line break, and
 * without the characters that change the direction of what follows, which could make a link look like another.
 */
export function cleaned(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, '')
    .trim();
}

/** Whether a text is one emoji. */
export function isEmoji(text: string): boolean {
  if (text.length > EMOJI_LENGTH_MAX || !/\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(text)) return false;
  return [...new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)].length === 1;
}
