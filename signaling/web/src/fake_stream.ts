// Runs before every test file: Node.js and jsdom have no MediaStream.

class FakeMediaStream extends EventTarget {
  readonly id = crypto.randomUUID();
  readonly #tracks: Set<MediaStreamTrack>;

  constructor(tracks: Iterable<MediaStreamTrack> = []) {
    super();
    this.#tracks = new Set(tracks);
  }

  getTracks(): MediaStreamTrack[] {
    return [...this.#tracks];
  }

  addTrack(track: MediaStreamTrack): void {
    this.#tracks.add(track);
  }

  removeTrack(track: MediaStreamTrack): void {
    this.#tracks.delete(track);
  }
}

globalThis.MediaStream ??= FakeMediaStream as unknown as typeof MediaStream;
