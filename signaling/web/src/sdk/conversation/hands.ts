// The raised hands of a room, as immutable values. Pure.

/** By peer id, the place of a raised hand. */
export type Hands = ReadonlyMap<string, number>;

export const noHands: Hands = new Map();

/** For a hand that is raised now: after all others. */
export function nextOrder(hands: Hands): number {
  return Math.max(0, ...hands.values()) + 1;
}

/** `order` null: the hand is down. */
export function withHand(hands: Hands, peerId: string, order: number | null): Hands {
  if ((hands.get(peerId) ?? null) === order) return hands;
  const after = new Map(hands);
  if (order === null) after.delete(peerId);
  else after.set(peerId, order);
  return after;
}

/** Without the hands of peers that are not in the room. */
export function handsOf(hands: Hands, isHere: (peerId: string) => boolean): Hands {
  const here = [...hands].filter(([peerId]) => isHere(peerId));
  return here.length === hands.size ? hands : new Map(here);
}

/** Peer ids, the first hand first. The same list at all peers. */
export function inOrder(hands: Hands): string[] {
  const byOrder = ([a, first]: [string, number], [b, second]: [string, number]) => first - second || (a < b ? -1 : 1);
  return [...hands].sort(byOrder).map(([peerId]) => peerId);
}
