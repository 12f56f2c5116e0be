// The SDK: everything an application needs for a call. It depends on neither React nor the page.

export { Call } from './call';
export { type Captured, captureDevices, captureOne, captureScreen, problemOf } from './capture';
export type { CallOptions } from './entry';
export { SignalError } from './errors';
export type { HistoryEntry } from './history';
export type { Layers } from './layers';
export type { Presence } from './roster';
export type { SessionState } from './session';
export type { Direction, LocalSource } from './sources';
export type { TokenSource } from './token';
export type { CallEvents, CallView, PeerView, SourceView } from './view';
