// The streams of a call: one for microphone and camera of a peer, which play in sync, and one for its screen, as in
// `Media.consume`. A stream stays the same object as long as the peer has a track in it; tracks are added and removed.

import type { LocalSource } from './sources';
import type { CallView } from './view';

export interface CallStreams {
  local: MediaStream | null;
  remote: readonly MediaStream[];
}

export class Streams {
  readonly #local = new Map<string, MediaStream>();
  readonly #remote = new Map<string, MediaStream>();

  /** The streams for a view. They are changed in place. */
  of({ local, peers }: Pick<CallView, 'local' | 'peers'>): CallStreams {
    const remote = peers.flatMap(({ id, sources }) => sources.map(({ source, track }) => [nameOf(id, source), track] as const));
    return { local: this.#ofLocal([...local.values()]), remote: update(this.#remote, remote) };
  }

  #ofLocal(sources: readonly LocalSource[]): MediaStream | null {
    const own = sources.map(({ source, track }) => [nameOf('', source), track] as const);
    update(this.#local, own);
    return this.#local.get('') ?? null;
  }
}

function nameOf(peerId: string, source: string): string {
  return source.startsWith('screen') ? `${peerId}-screen` : peerId;
}

type Named = readonly (readonly [name: string, track: MediaStreamTrack | null])[];

function update(streams: Map<string, MediaStream>, named: Named): MediaStream[] {
  const wanted = new Map<string, Set<MediaStreamTrack>>();
  for (const [name, track] of named) {
    if (track) wanted.set(name, (wanted.get(name) ?? new Set()).add(track));
  }
  for (const name of streams.keys()) if (!wanted.has(name)) streams.delete(name);
  return [...wanted].map(([name, tracks]) => {
    const stream = streams.get(name) ?? new MediaStream();
    streams.set(name, stream);
    for (const track of stream.getTracks()) if (!tracks.has(track)) stream.removeTrack(track);
    // A track that is in the stream already is not added again.
    for (const track of tracks) stream.addTrack(track);
    return stream;
  });
}
