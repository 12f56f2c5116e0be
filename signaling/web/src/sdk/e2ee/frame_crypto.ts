// What the worker does with encoded frames, without the browser's interfaces: it keeps the keys, encrypts and decrypts,
// drops what it cannot, and counts. A frame is never passed on as it came: not clear to the network, and not encrypted to
// a decoder.

import { codecOf, unwrapFrame, wrapFrame } from './frames';
import { epochOf, SendingKeys, type SendingStream, STREAMS_PER_EPOCH, SUITE } from './sending';
import { type Bytes, type OpenFailure, open, SframeKey } from './sframe';

/** From the page to the worker. */
export type Command =
  | { do: 'setSendKey'; epoch: number; key: Uint8Array }
  | { do: 'setReceiveKey'; peerId: string; epoch: number; key: Uint8Array }
  | { do: 'dropReceiveKey'; peerId: string; epoch: number }
  | { do: 'dropPeer'; peerId: string }
  /** This client has another place in the room: all keys are void. */
  | { do: 'reset' };

/** Frames of one peer, since the worker started. */
export type Counts = Record<'opened' | OpenFailure, number>;

/** From the worker to the page. */
export type Report = { on: 'counts'; peers: ReadonlyMap<string, Counts>; sealed: number; notSealed: number } | { on: 'usedUp' };

/** The part of `RTCEncodedVideoFrame` and `RTCEncodedAudioFrame` that is used. */
export interface EncodedFrame {
  data: ArrayBuffer;
  /** Of video frames. */
  readonly type?: string;
  getMetadata(): { mimeType?: string };
}

/** What a track is. Both ends know the source, and a frame of another source is not accepted. */
export interface TrackInfo {
  readonly source: string;
  /** For browsers whose frames do not name their codec. */
  readonly mimeType: string;
}

/** Passes a frame on, or not. */
export type Transform<F> = (frame: F, pass: (frame: F) => void) => Promise<void>;

interface ReceivedEpoch {
  readonly baseKey: Uint8Array;
  /** By key id. */
  readonly keys: Map<bigint, Promise<SframeKey>>;
}

export class FrameCrypto {
  readonly #onUsedUp: () => void;
  readonly #onChange: () => void;
  #sending: SendingKeys;
  /** By peer and epoch. */
  readonly #received = new Map<string, Map<number, ReceivedEpoch>>();
  readonly #counts = new Map<string, Counts>();
  #sealed = 0;
  #notSealed = 0;

  /** `onChange`: a count has changed; called for each frame. */
  constructor(onUsedUp: () => void, onChange: () => void) {
    this.#onUsedUp = onUsedUp;
    this.#onChange = onChange;
    this.#sending = new SendingKeys(onUsedUp);
  }

  handle(command: Command): void {
    switch (command.do) {
      case 'setSendKey':
        this.#sending.start(command.epoch, command.key);
        break;
      case 'setReceiveKey': {
        const epochs = this.#received.get(command.peerId) ?? new Map<number, ReceivedEpoch>();
        this.#received.set(command.peerId, epochs.set(command.epoch, { baseKey: command.key, keys: new Map() }));
        break;
      }
      case 'dropReceiveKey':
        this.#received.get(command.peerId)?.delete(command.epoch);
        break;
      case 'dropPeer':
        this.#received.delete(command.peerId);
        this.#counts.delete(command.peerId);
        break;
      case 'reset':
        this.#sending = new SendingKeys(this.#onUsedUp);
        this.#received.clear();
        this.#counts.clear();
        break;
    }
  }

  get report(): Report {
    const peers = new Map([...this.#counts].map(([peerId, counts]) => [peerId, { ...counts }]));
    return { on: 'counts', peers, sealed: this.#sealed, notSealed: this.#notSealed };
  }

  /** For the frames of one track that this client sends. */
  sealing<F extends EncodedFrame>(track: TrackInfo): Transform<F> {
    const metadata = new TextEncoder().encode(track.source);
    let used: { keys: SendingKeys; stream: SendingStream } | null = null;
    return async (frame, pass) => {
      const keys = this.#sending;
      if (used?.keys !== keys) used = { keys, stream: keys.stream() };
      const plain = new Uint8Array(frame.data);
      const codec = codecOf(frame.getMetadata().mimeType ?? track.mimeType);
      const sealed = codec && (await used.stream.seal(plain, metadata));
      const data = codec && sealed && wrapFrame(codec, plain, sealed, frame.type === 'key');
      if (data) this.#sealed += 1;
      else this.#notSealed += 1;
      this.#onChange();
      if (!data) return;
      frame.data = data.buffer;
      pass(frame);
    };
  }

  /**
   * For the frames of one track of a peer. `onBack`: a delta frame is decrypted after others were not, and the decoder
   * needs a keyframe.
   */
  opening<F extends EncodedFrame>(peerId: string, track: TrackInfo, onBack: () => void = () => undefined): Transform<F> {
    const metadata = new TextEncoder().encode(track.source);
    let lost = false;
    return async (frame, pass) => {
      const codec = codecOf(frame.getMetadata().mimeType ?? track.mimeType);
      const sealed = codec && unwrapFrame(codec, new Uint8Array(frame.data));
      const opened = sealed ? await open(sealed, (kid) => this.#keyOf(peerId, kid), metadata) : MALFORMED;
      this.#count(peerId, opened.ok ? 'opened' : opened.why);
      if (!opened.ok) {
        lost = true;
        return;
      }
      if (lost && frame.type === 'delta') onBack();
      lost = false;
      frame.data = opened.plaintext.buffer;
      pass(frame);
    };
  }

  /** For the messages of one channel that this client sends. Null while there is no key. */
  sealer(label: string): (plaintext: Uint8Array) => Promise<Bytes | null> {
    const metadata = new TextEncoder().encode(label);
    let used: { keys: SendingKeys; stream: SendingStream } | null = null;
    return (plaintext) => {
      const keys = this.#sending;
      if (used?.keys !== keys) used = { keys, stream: keys.stream() };
      return used.stream.seal(plaintext, metadata);
    };
  }

  /** A message of a channel of a peer. Null if it does not fit a key of this peer. */
  async open(peerId: string, label: string, sealed: Uint8Array): Promise<Bytes | null> {
    const opened = await open(sealed, (kid) => this.#keyOf(peerId, kid), new TextEncoder().encode(label));
    return opened.ok ? opened.plaintext : null;
  }

  #keyOf(peerId: string, kid: bigint): Promise<SframeKey> | null {
    const number = epochOf(kid);
    const epoch = number === null ? undefined : this.#received.get(peerId)?.get(number);
    if (!epoch) return null;
    const key = epoch.keys.get(kid) ?? SframeKey.derive(SUITE, kid, epoch.baseKey);
    // At most `STREAMS_PER_EPOCH` of them: the key id names the epoch, too.
    if (epoch.keys.size < STREAMS_PER_EPOCH) epoch.keys.set(kid, key);
    return key;
  }

  #count(peerId: string, what: keyof Counts): void {
    const counts = this.#counts.get(peerId) ?? { opened: 0, malformed: 0, unknownKey: 0, wrongKey: 0 };
    counts[what] += 1;
    this.#counts.set(peerId, counts);
    this.#onChange();
  }
}

const MALFORMED = { ok: false, why: 'malformed' } as const;
