// The client library: everything a user interface needs for a call, and nothing of one.

export { Call, type CallEvents, type CallOptions, type CallView, type PeerView, type SourceView } from './call';
export { type Captured, captureDevices, captureOne, captureScreen, problemOf } from './capture';
export { SignalError } from './errors';
export type { Layers, LocalSource } from './media';
export type { SessionState } from './session';
