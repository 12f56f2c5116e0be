// What the chat and the buttons for hands and reactions do in the running call.

import { failureOf } from '../stores/failure';
import { currentCall, useCallStore } from '../stores/useCallStore';

/** Of the menu. */
export const REACTIONS = ['👍', '👏', '❤️', '😂', '😮', '🎉'] as const;

function run(act: (call: NonNullable<ReturnType<typeof currentCall>>) => unknown): boolean {
  const call = currentCall();
  if (!call) return false;
  try {
    act(call);
    return true;
  } catch (error) {
    useCallStore.getState().notify({ about: 'failure', failure: failureOf(error) });
    return false;
  }
}

export interface ConversationActions {
  /** False if the message is not sent, which the user reads. */
  sendChat(text: string, to: string | null): boolean;
  retryChat(id: string): void;
  setHand(raised: boolean): void;
  react(emoji: string): void;
}

export const conversationActions: ConversationActions = {
  sendChat: (text, to) => run(({ chat }) => chat.send(text, to)),
  retryChat: (id) => void run(({ chat }) => chat.retry(id)),
  setHand: (raised) => void run((call) => (raised ? call.raiseHand() : call.lowerHand())),
  react: (emoji) => void run((call) => call.react(emoji)),
};
