// The SDK: everything an application needs for a call. It depends on neither React nor the page. `SignalChannel` is for
// applications without a `Call`, for example with an `RTCPeerConnection` of their own (docs/sdp.md).

export type { Permissions, RoomPolicy, WaitingClient } from './access';
export type { RoomAdmin } from './admin';
export { Call } from './call';
export type { CallChat } from './call_chat';
export type { CallFiles } from './call_files';
export {
  type CallFields,
  type CallModel,
  type CallStore,
  type CallStoreState,
  createCallStore,
  noCall,
  type Peer,
  peerActions,
} from './call_store';
export {
  type Captured,
  type CaptureOptions,
  captureDevices,
  captureOne,
  captureScreen,
  type DeviceChoices,
  type DeviceKind,
  problemOf,
} from './capture';
export { type ChannelEvents, type Payload, type PayloadInit, type Request, SignalChannel } from './channel';
export { type CheckOptions, checkConnection } from './check/connection_check';
export {
  type CheckName,
  type CheckReason,
  type CheckReport,
  type CheckResult,
  type CheckVerdict,
  checkNames,
} from './check/report';
export type { ChatMessage, ConversationView, Reaction } from './conversation/conversation';
export { CHAT_LENGTH_MAX } from './conversation/wire';
export type { OwnMetadata } from './core';
export type { DataChannelOptions } from './data';
export type { DataChannelEvents, DataChannelState, DataSender } from './data_sender';
export { DeviceError, type DeviceFailure, type DeviceRole, deviceErrorOf } from './device_error';
export {
  canChooseSpeaker,
  type DeviceChange,
  type DeviceInfo,
  type DeviceList,
  DeviceWatch,
  listDevices,
  noDevices,
  type Player,
  playOn,
} from './devices';
export type { EncryptionState, PeerEncryption } from './e2ee/encryption';
export type { Trust } from './e2ee/epochs';
export type { Counts as EncryptionCounts } from './e2ee/frame_crypto';
export { BrowserIdentityStore, type IdentityStore, type KnownIdentity, MemoryIdentityStore } from './e2ee/identity_store';
export type { CallOptions } from './entry';
export { EncryptionUnavailable, Evicted, NotAdmitted, SignalError, SocketLost, TokenUnavailable } from './errors';
export { FileTransferError } from './files/file_errors';
export { channelLink, type FileLink, type FileLinkEvents } from './files/file_link';
export { BlobSource, type FileSource } from './files/file_source';
export { type FileSink, type FileStorage, MemorySink, memoryStorage, type StoredFile, StreamSink } from './files/file_storage';
export { type FileClock, FileTransfers, type FileTransfersOptions } from './files/file_transfers';
export { browserStorage } from './files/opfs_storage';
export { type OpenOutlet, type Outlet, type OutletEvents, producerOutlet, RoutedLink } from './files/routed_link';
export type { FileChunk, FileErrorCode, FileMetadata, FileReceiver, FileTransfer, FileTransferState } from './files/types';
export type { HistoryEntry } from './history';
export type { Layers } from './layers';
export { type LogContext, type LogEntry, type LogLevel, type LogSink, logLine } from './log';
export { type CallNotice, type NoticeCode, noticeText } from './notice';
export { PeerConnection, WebRTCErrorEvent } from './peer_connection';
export { type Measurement, type QualityLevel, worstOf } from './quality/measure';
export type { SourceQuality } from './quality/sampler';
export type { RecoveryStep, RecoveryView } from './recovery';
export type { Presence } from './roster';
export type { SessionState } from './session';
export type { Direction, LocalSource, Subscribers, VideoReception } from './sources';
export type { TokenSource } from './token';
export type { CallEvents, CallView, PeerView, SourceView } from './view';
export { WebRTCError, type WebRTCErrorCode } from './webrtc_error';
export { playByWhep, publishByWhip, WhipError, type WhipOptions, WhipSession } from './whip';
