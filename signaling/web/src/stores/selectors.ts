// What a component reads of the call: each hook draws its component again only when its value has changed.

import { useShallow } from 'zustand/shallow';
import type { Peer, PeerEncryption } from '../sdk';
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

/** Null while the call is not encrypted end to end. */
export function useEncryption(peerId: string): PeerEncryption | null {
  return useCallStore((state) => state.call?.peers.find(({ id }) => id === peerId)?.encryption ?? null);
}

/** Several fields at once. */
export function useFields<T extends object>(read: (state: CallState) => T): T {
  return useCallStore(useShallow(read));
}
