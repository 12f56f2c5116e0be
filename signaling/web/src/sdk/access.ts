// What this client may do, the policy of its room, and the clients that wait to be admitted, as the server reports
// them. Pure.

import type { GrantedPermissions, Joined, PeerWaiting, RoomPolicy as PolicyMessage } from '../gen/signal_pb';

/** What the token permits. */
export interface Permissions {
  publish: boolean;
  /** The only sources that may be sent; null: all. */
  publishSources: readonly string[] | null;
  subscribe: boolean;
  publishData: boolean;
  updateOwnMetadata: boolean;
  usePlainTransports: boolean;
  /** May use `Call.admin`. */
  admin: boolean;
  /** The others are not notified of this client. */
  hidden: boolean;
}

/** What an administrator has decided about the room. */
export interface RoomPolicy {
  /** Null: the maximum of the server. */
  maxPeers: number | null;
  /** Only administrators may join. */
  locked: boolean;
  /** Others wait until an administrator admits them. */
  waitingRoom: boolean;
  /** Who may send. */
  publishers: 'everyone' | 'admins';
  /** Media is encrypted end to end. */
  encrypted: boolean;
  /** How many users and names are banned. */
  bans: number;
}

/** A client that waits to be admitted. Only administrators get it. */
export interface WaitingClient {
  id: string;
  user: string;
  name: string;
}

export interface Access {
  readonly permissions: Permissions;
  readonly policy: RoomPolicy;
  /** By id, in the order in which this client got them. */
  readonly waiting: ReadonlyMap<string, WaitingClient>;
}

export type AccessChange =
  | { on: 'permissions'; permissions: Permissions }
  /** An administrator made this client an administrator, or ended that. */
  | { on: 'role'; permissions: Permissions; waiting: readonly WaitingClient[] }
  | { on: 'policy'; policy: RoomPolicy }
  | { on: 'waiting'; client: WaitingClient }
  | { on: 'notWaiting'; id: string };

/** Before Joined, and with a server that reports none of it. */
export const initialAccess: Access = {
  permissions: {
    publish: true,
    publishSources: null,
    subscribe: true,
    publishData: true,
    updateOwnMetadata: false,
    usePlainTransports: false,
    admin: false,
    hidden: false,
  },
  policy: { maxPeers: null, locked: false, waitingRoom: false, publishers: 'everyone', encrypted: false, bans: 0 },
  waiting: new Map(),
};

export function permissionsOf(granted: GrantedPermissions | undefined): Permissions {
  if (!granted) return initialAccess.permissions;
  return {
    publish: granted.canPublish,
    publishSources: granted.hasPublishSources ? granted.publishSources : null,
    subscribe: granted.canSubscribe,
    publishData: granted.canPublishData,
    updateOwnMetadata: granted.canUpdateOwnMetadata,
    usePlainTransports: granted.canUsePlainTransports,
    admin: granted.admin,
    hidden: granted.hidden,
  };
}

export function policyOf(policy: PolicyMessage | undefined): RoomPolicy {
  if (!policy) return initialAccess.policy;
  return {
    maxPeers: policy.maxPeers || null,
    locked: policy.locked,
    waitingRoom: policy.waitingRoom,
    publishers: policy.publishers === 'admins' ? 'admins' : 'everyone',
    encrypted: policy.encrypted,
    bans: policy.bans,
  };
}

export function waitingClientOf({ waitingId, user, displayName }: PeerWaiting): WaitingClient {
  return { id: waitingId, user, name: displayName || user || 'Guest' };
}

/** Joined contains all of it, also when notifications are replayed after it: they lead to the same state. */
export function accessOf({ permissions, policy, waiting }: Pick<Joined, 'permissions' | 'policy' | 'waiting'>): Access {
  return { permissions: permissionsOf(permissions), policy: policyOf(policy), waiting: byId(waiting.map(waitingClientOf)) };
}

function byId(clients: readonly WaitingClient[]): Map<string, WaitingClient> {
  return new Map(clients.map((client) => [client.id, client]));
}

export function accessAfter(access: Access, change: AccessChange): Access {
  switch (change.on) {
    case 'permissions':
      // The server reports waiting clients to administrators only, so others do not get their end.
      return { ...access, permissions: change.permissions, waiting: change.permissions.admin ? access.waiting : new Map() };
    case 'role':
      return { ...access, permissions: change.permissions, waiting: byId(change.waiting) };
    case 'policy':
      return { ...access, policy: change.policy };
    case 'waiting':
      return { ...access, waiting: new Map(access.waiting).set(change.client.id, change.client) };
    case 'notWaiting': {
      const waiting = new Map(access.waiting);
      waiting.delete(change.id);
      return { ...access, waiting };
    }
  }
}
