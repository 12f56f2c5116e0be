// The state of a call as a store, for user interfaces of every kind: `Call.store` follows the call by itself.

import { createStore, type StoreApi } from 'zustand/vanilla';
import type { FileTransfer } from './files/types';
import { sharedList, sharedMap } from './share';
import { Streams } from './streams';
import type { CallView, PeerView } from './view';

/** Another participant, with what it sends. */
export type Peer = PeerView;

/** The part of a call's state that applications share. Maps, arrays and peers are replaced, never changed. */
export interface CallModel {
  /** By peer id. */
  peers: Map<string, Peer>;
  /** Adds or replaces a peer. During a call, the next change of the call restores what the server reports. */
  addPeer: (peerId: string, peer: Peer) => void;
  removePeer: (peerId: string) => void;
  /** What this client sends, without its screen; null while it sends nothing. */
  localStream: MediaStream | null;
  /** What this client receives: of each peer one stream, and one of its screen. */
  remoteStreams: MediaStream[];
  /** By id of the transfer. */
  fileTransfers: Map<string, FileTransfer>;
}

/** The fields of `CallModel` without its actions. */
export type CallFields = Pick<CallModel, 'peers' | 'localStream' | 'remoteStreams' | 'fileTransfers'>;

/** The content of `Call.store`. */
export interface CallStoreState extends CallModel {
  /** Null before the call has begun. */
  view: CallView | null;
}

/** The state of a call as a store of `zustand/vanilla`: `getState`, `subscribe`. */
export type CallStore = StoreApi<CallStoreState>;

/** The fields without a call. */
export function noCall(): CallFields {
  return { peers: new Map(), localStream: null, remoteStreams: [], fileTransfers: new Map() };
}

/** A store without a call. `Call.store` is made by the call itself. */
export function createCallStore(): CallStore {
  return createStore<CallStoreState>()((set) => ({ view: null, ...noCall(), ...peerActions(set) }));
}

/** `addPeer` and `removePeer` for a store with `peers`. */
export function peerActions(
  set: (change: (state: Pick<CallModel, 'peers'>) => Pick<CallModel, 'peers'>) => void,
): Pick<CallModel, 'addPeer' | 'removePeer'> {
  return {
    addPeer: (peerId, peer) => set(({ peers }) => ({ peers: new Map(peers).set(peerId, peer) })),
    removePeer: (peerId) =>
      set(({ peers }) => {
        const rest = new Map(peers);
        return { peers: rest.delete(peerId) ? rest : peers };
      }),
  };
}

/** Keeps a store in step with the views of a call. A call that has ended leaves it empty. */
export class CallStoreFeed {
  readonly #streams = new Streams();

  constructor(readonly store: CallStore) {}

  show(view: CallView): void {
    this.store.setState((before) => ({ view, ...this.#fields(before, view) }));
  }

  #fields(before: CallFields, view: CallView): CallFields {
    if (view.session === 'Ended') return noCall();
    const { local, remote } = this.#streams.of(view);
    const peers = new Map(view.peers.map((peer) => [peer.id, peer]));
    return {
      peers: sharedMap(before.peers, peers),
      localStream: local,
      remoteStreams: sharedList(before.remoteStreams, remote) as MediaStream[],
      fileTransfers: sharedMap(before.fileTransfers, new Map(view.fileTransfers)),
    };
  }
}
