// React hooks for a call of the SDK. Each reads one value of `Call.store` and draws its component again only when that value
// has changed. The call is an argument, or comes from `CallProvider`.

export { CallContext, CallProvider, type CallProviderProps, useCallContext } from './context';
export {
  useCall,
  useCallView,
  useEncryption,
  useFileTransfers,
  useLocalSources,
  useLocalStream,
  useLocalTracks,
  useOnline,
  usePeer,
  usePeerIds,
  usePeers,
  useQuality,
  useSession,
  useSource,
  useSpeaking,
} from './hooks';
export { type JoinedCall, useJoin } from './join';
export { Video, type VideoProps } from './video';
