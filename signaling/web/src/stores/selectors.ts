// What a component reads of the call: each hook draws its component again only when its value has changed.

import { useShallow } from 'zustand/shallow';
import type { Peer, PeerEncryption, Reaction } from '../sdk';
import { type CallState, useCallStore } from './useCallStore';

export function usePeerIds(): readonly string[] {
  return useCallStore(useShallow((state) => [...state.peers.keys()]));
}

export function usePeer(peerId: string): Peer | undefined {
  return useCallStore((state) => state.peers.get(peerId));
}

export function useIsSpeaking(peerId: string): boolean {
  return useCallStore((state) => state.call?.speaking.has(peerId) ?? false);
}

/** The other peers that speak now, in the order of the server's report. */
export function useVoices(): readonly string[] {
  return useCallStore(useShallow(({ call }) => [...(call?.speaking ?? [])].filter((id) => id !== call?.peerId)));
}

/** The place in the order of raised hands, from 1; 0: the hand is down. */
export function useHand(peerId: string): number {
  return useCallStore((state) => (state.call?.hands.indexOf(peerId) ?? -1) + 1);
}

/** Those of a peer that are shown now. */
export function useReactions(peerId: string): readonly Reaction[] {
  return useCallStore(useShallow((state) => state.call?.reactions.filter(({ from }) => from === peerId) ?? []));
}

/** Null while the call is not encrypted end to end. */
export function useEncryption(peerId: string): PeerEncryption | null {
  return useCallStore((state) => state.call?.peers.find(({ id }) => id === peerId)?.encryption ?? null);
}

/** Several fields at once. */
export function useFields<T extends object>(read: (state: CallState) => T): T {
  return useCallStore(useShallow(read));
}
