// The worker of end-to-end encryption: connects the browser's encoded frames with `frame_crypto.ts`. Started from a string
// in the bundle (`?worker&inline`), so that an application has no second file to serve.

import { type Command, type EncodedFrame, FrameCrypto, type Report, type TrackInfo, type Transform } from './frame_crypto';

/** `peerId`: the owner of a received track; null for a track that this client sends. */
export interface TransformOptions extends TrackInfo {
  readonly peerId: string | null;
}

/** Streams of a browser with `createEncodedStreams`. */
export interface AttachStreams {
  readonly do: 'attach';
  readonly options: TransformOptions;
  readonly readable: ReadableStream<EncodedFrame>;
  readonly writable: WritableStream<EncodedFrame>;
}

/** Counts are reported at most this often. */
const REPORT_MS = 250;

interface ScriptTransformer {
  readonly options: TransformOptions;
  readonly readable: ReadableStream<EncodedFrame>;
  readonly writable: WritableStream<EncodedFrame>;
  sendKeyFrameRequest?(): Promise<unknown>;
}

/** The global object of the worker: the types of the DOM are those of a page. */
interface WorkerScope {
  onmessage: ((event: { data: Command | AttachStreams }) => void) | null;
  onrtctransform: ((event: { transformer: ScriptTransformer }) => void) | null;
  postMessage(report: Report): void;
}
const scope = globalThis as unknown as WorkerScope;

let reporting = false;

const crypto = new FrameCrypto(
  () => scope.postMessage({ on: 'usedUp' }),
  () => {
    if (reporting) return;
    reporting = true;
    setTimeout(() => {
      reporting = false;
      scope.postMessage(crypto.report);
    }, REPORT_MS);
  },
);

function attach(
  { peerId, ...track }: TransformOptions,
  readable: ReadableStream<EncodedFrame>,
  writable: WritableStream<EncodedFrame>,
  onBack?: () => void,
): void {
  const apply: Transform<EncodedFrame> = peerId === null ? crypto.sealing(track) : crypto.opening(peerId, track, onBack);
  const transform = (frame: EncodedFrame, controller: TransformStreamDefaultController<EncodedFrame>) =>
    apply(frame, (passed) => controller.enqueue(passed));
  // The pipe ends with its track.
  readable
    .pipeThrough(new TransformStream({ transform }))
    .pipeTo(writable)
    .catch(() => undefined);
}

scope.onmessage = ({ data }) => {
  if (data.do === 'attach') attach(data.options, data.readable, data.writable);
  else crypto.handle(data);
};

scope.onrtctransform = ({ transformer }) => {
  // It rejects for audio, and where no keyframe can be requested.
  const requestKeyFrame = () => void transformer.sendKeyFrameRequest?.().catch(() => undefined);
  attach(transformer.options, transformer.readable, transformer.writable, requestKeyFrame);
};
