// Where identities are remembered: the own one per user, and the fingerprints that other users have shown. In a browser
// this is IndexedDB, which stores private keys that the page cannot read; in tests, memory.

import type { Identity } from './keys';

/** An identity that another user has shown. */
export interface KnownIdentity {
  readonly fingerprint: string;
  /** A person has compared the safety number. */
  readonly verified: boolean;
}

/** Remembers identities of end-to-end encryption. */
export interface IdentityStore {
  /** The identity of this user; `make` is called when there is none. */
  own(user: string, make: () => Promise<Identity>): Promise<Identity>;
  /** The latest last. */
  known(user: string): Promise<readonly KnownIdentity[]>;
  remember(user: string, identities: readonly KnownIdentity[]): Promise<void>;
}

/** A person may use several devices; of more, the oldest is forgotten. */
export const IDENTITIES_PER_USER = 8;

/** Remembers identities until the page is closed. For tests. */
export class MemoryIdentityStore implements IdentityStore {
  readonly #own = new Map<string, Promise<Identity>>();
  readonly #known = new Map<string, readonly KnownIdentity[]>();

  own(user: string, make: () => Promise<Identity>): Promise<Identity> {
    const found = this.#own.get(user) ?? make();
    this.#own.set(user, found);
    return found;
  }

  async known(user: string): Promise<readonly KnownIdentity[]> {
    return this.#known.get(user) ?? [];
  }

  async remember(user: string, identities: readonly KnownIdentity[]): Promise<void> {
    this.#known.set(user, identities.slice(-IDENTITIES_PER_USER));
  }
}

const DATABASE = 'leat-e2ee';
const OWN = 'own';
const KNOWN = 'known';

/** Remembers identities in the IndexedDB of the page. */
export class BrowserIdentityStore implements IdentityStore {
  readonly #database: Promise<IDBDatabase>;

  constructor(name = DATABASE) {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      for (const store of [OWN, KNOWN]) opening.result.createObjectStore(store);
    };
    this.#database = answerOf(opening);
    this.#database.catch(() => undefined);
  }

  async own(user: string, make: () => Promise<Identity>): Promise<Identity> {
    const database = await this.#database;
    const found = await answerOf(database.transaction(OWN).objectStore(OWN).get(user));
    if (found instanceof Map) return found;
    const made = await make();
    // Another tab may have been faster: then its identity is kept.
    const store = database.transaction(OWN, 'readwrite').objectStore(OWN);
    const other = await answerOf(store.get(user));
    if (other instanceof Map) return other;
    await answerOf(store.put(made, user));
    return made;
  }

  async known(user: string): Promise<readonly KnownIdentity[]> {
    const database = await this.#database;
    const found = await answerOf(database.transaction(KNOWN).objectStore(KNOWN).get(user));
    return Array.isArray(found) ? found : [];
  }

  async remember(user: string, identities: readonly KnownIdentity[]): Promise<void> {
    const database = await this.#database;
    const store = database.transaction(KNOWN, 'readwrite').objectStore(KNOWN);
    await answerOf(store.put(identities.slice(-IDENTITIES_PER_USER), user));
  }
}

function answerOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
