// One hook for each value of a call.

import { useCallback, useRef, useSyncExternalStore } from 'react';
import {
  type Call,
  type CallStore,
  type CallStoreState,
  type CallView,
  createCallStore,
  type FileTransfer,
  type LocalSource,
  type Peer,
  type PeerEncryption,
  type SessionState,
  type SourceQuality,
  type SourceView,
} from '../sdk';
import { useCallContext } from './context';

/** The store of a component without a call. */
const NONE: CallStore = createCallStore();

/** Two lists or maps with the same entries, or the same value. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (one instanceof Map && other instanceof Map) {
    return one.size === other.size && [...one].every(([key, value]) => other.has(key) && Object.is(other.get(key), value));
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((value, index) => Object.is(value, other[index]));
  }
  return false;
}

/**
 * A value of the state of a call. The component is drawn again only when `read` returns another value; lists and maps
 * count as equal if their entries are. Without `call`, that of `CallProvider`.
 */
export function useCall<T>(read: (state: CallStoreState) => T, call?: Call | null): T {
  const provided = useCallContext();
  const store = (call === undefined ? provided : call)?.store ?? NONE;
  const last = useRef<{ value: T } | null>(null);
  const snapshot = () => {
    const value = read(store.getState());
    if (!last.current || !isSame(last.current.value, value)) last.current = { value };
    return last.current.value;
  };
  const subscribe = useCallback((onChange: () => void) => store.subscribe(onChange), [store]);
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

/** The whole view of the call: for components that need many of its fields. Null before the call has begun. */
export function useCallView(call?: Call | null): CallView | null {
  return useCall(({ view }) => view, call);
}

/** The state of the session; null before the call has begun. */
export function useSession(call?: Call | null): SessionState | null {
  return useCall(({ view }) => view?.session ?? null, call);
}

/** True while the signaling connection is established. */
export function useOnline(call?: Call | null): boolean {
  return useCall(({ view }) => view?.online ?? false, call);
}

/** The peers of the room, in the order in which they came. Changes with every change of a peer: see `usePeerIds`. */
export function usePeers(call?: Call | null): readonly Peer[] {
  return useCall(({ peers }) => [...peers.values()], call);
}

/** The ids of the peers: changes only when a peer comes or leaves. For lists whose items use `usePeer`. */
export function usePeerIds(call?: Call | null): readonly string[] {
  return useCall(({ peers }) => [...peers.keys()], call);
}

/** One peer; undefined if it is not in the room. */
export function usePeer(peerId: string, call?: Call | null): Peer | undefined {
  return useCall(({ peers }) => peers.get(peerId), call);
}

/** A source of a peer by its name, for example `camera`; undefined if the peer does not send it. */
export function useSource(peerId: string, name: string, call?: Call | null): SourceView | undefined {
  return useCall(({ peers }) => peers.get(peerId)?.sources.find(({ source }) => source === name), call);
}

/** Whether this peer speaks. Without an id: this client itself. */
export function useSpeaking(peerId?: string, call?: Call | null): boolean {
  return useCall(({ view }) => view?.speaking.has(peerId ?? view.peerId) ?? false, call);
}

/**
 * The quality of a source: by its id for what this client receives (`SourceView.id`), by its name for what it sends. Null
 * before the first measurement.
 */
export function useQuality(source: string, call?: Call | null): SourceQuality | null {
  return useCall(({ view }) => view?.quality.get(source) ?? null, call);
}

/** The encryption with a peer; null while the call is not encrypted end to end. */
export function useEncryption(peerId: string, call?: Call | null): PeerEncryption | null {
  return useCall(({ peers }) => peers.get(peerId)?.encryption ?? null, call);
}

const NO_SOURCES: ReadonlyMap<string, LocalSource> = new Map();

/** What this client sends, by the names of the sources. */
export function useLocalSources(call?: Call | null): ReadonlyMap<string, LocalSource> {
  return useCall(({ view }) => view?.local ?? NO_SOURCES, call);
}

/** The tracks that this client sends, by the names of the sources. */
export function useLocalTracks(call?: Call | null): ReadonlyMap<string, MediaStreamTrack> {
  return useCall(({ view }) => new Map([...(view?.local ?? [])].map(([name, { track }]) => [name, track])), call);
}

/** What this client sends, without its screen, as one stream; null while it sends nothing. */
export function useLocalStream(call?: Call | null): MediaStream | null {
  return useCall(({ localStream }) => localStream, call);
}

/** The file transfers of the call, the oldest first. */
export function useFileTransfers(call?: Call | null): readonly FileTransfer[] {
  return useCall(({ fileTransfers }) => [...fileTransfers.values()], call);
}
