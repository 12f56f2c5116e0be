// The only store of the app: the form before a call, the view of the call from the sdk, and the notices.
// Components read from here and call its actions; they contain no state of a call themselves.

import { create } from 'zustand';
import { Call, type CallModel, type CallView, captureScreen, noCall, peerActions, type RoomAdmin, type RoomPolicy } from '../sdk';
import { type DeviceSlice, deviceControl } from './device_slice';
import { type Failure, failureOf } from './failure';
import { readLink } from './link';
import type { Notice, NoticeContent } from './notices';

/** Notices on screen at once; a new one replaces the oldest. */
const NOTICES_MAX = 4;
const NOTICE_MS = 7_000;
/**
 * How long a join waits for camera and microphone. The user may leave the browser's permission prompt
 * unanswered.
 */
const DEVICES_PAUSE_MS = 1_000;

/** The call (`CallModel`), and beside it the fields of this app. */
export interface CallState extends CallModel, DeviceSlice {
  room: string;
  name: string;
  token: string;
  /** The page was opened with `join=1`, and this server allows that. */
  joinsAtOnce: boolean;
  /** Null before the first join and after leaving. */
  call: CallView | null;
  /** Why the last call ended; null if the user ended it. */
  failure: Failure | null;
  notices: readonly Notice[];
  peopleOpen: boolean;
  /** The panel takes the place of the participants. */
  statisticsOpen: boolean;
  /** The panel takes the place of the participants. */
  filesOpen: boolean;
  /** The panel takes the place of the participants. */
  devicesOpen: boolean;
  /** The panel takes the place of the participants. */
  chatOpen: boolean;
  /** Messages of the chat that came while it was not open. */
  unread: number;
  /** Peer ids: the peers that this administrator has muted. Those of other administrators are not known. */
  mutedPeers: ReadonlySet<string>;
  /** The browser does not play sound before the user interacts with the page. */
  soundBlocked: boolean;

  setForm(form: Partial<Pick<CallState, 'room' | 'name' | 'token'>>): void;
  toggleScreen(): Promise<void>;
  join(): Promise<void>;
  /** Neither microphone nor camera is opened until the user presses its switch. */
  joinWithoutDevices(): Promise<void>;
  leave(): Promise<void>;
  /** A source of another peer is shown at this height, in device pixels. */
  showAt(sourceId: string, lines: number): void;
  togglePeople(): void;
  toggleStatistics(): void;
  toggleFiles(): void;
  toggleDevices(): void;
  toggleChat(): void;
  /** For administrators. The microphone of a peer is muted, or the peer may unmute it again. */
  mutePeer(peerId: string, muted: boolean): Promise<void>;
  kickPeer(peerId: string): Promise<void>;
  /** The user may not return for this time; 0: until the call ends. */
  banPeer(peerId: string, seconds: number): Promise<void>;
  clearBans(): Promise<void>;
  /** Makes a peer a host, or ends that. `handOver`: this user is none any more. */
  setHost(peerId: string, isHost: boolean, handOver?: boolean): Promise<void>;
  /** Ends the call for all. */
  endCall(): Promise<void>;
  setRoom(change: Partial<Omit<RoomPolicy, 'bans'>>): Promise<void>;
  admit(waitingId: string): Promise<void>;
  deny(waitingId: string): Promise<void>;
  /** The user has compared the safety number with this participant. */
  confirmSafetyNumber(peerId: string): void;
  setSoundBlocked(blocked: boolean): void;
  /** `stays`: the notice stays until the user dismisses it. */
  notify(content: NoticeContent, stays?: boolean): void;
  dismiss(id: number): void;
}

/** The running call. Not in the store, because it is not an immutable value. */
let call: Call | null = null;
let noticeId = 0;

export function currentCall(): Call | null {
  return call;
}

const link = readLink();

/** One panel is open at a time. */
const noPanel = { peopleOpen: false, statisticsOpen: false, filesOpen: false, devicesOpen: false, chatOpen: false };

export const useCallStore = create<CallState>()((set, get) => {
  const devices = deviceControl({ get, set, call: () => call });

  /**
   * Stops devices that the call no longer sends, because the server refused them or the device ended.
   * Switching one on starts the device again and offers it to the call again.
   */
  const stopDropped = (before: CallView | null, now: CallView) => {
    for (const { source, track } of before?.local.values() ?? []) if (!now.local.has(source)) devices.drop(track);
  };

  /** Informs an administrator of clients that begin to wait. */
  const notifyOfWaiting = (before: CallView | null, now: CallView) => {
    const known = new Set(before?.waitingClients.map(({ id }) => id));
    for (const { id, name } of now.waitingClients) if (!known.has(id)) get().notify({ about: 'waiting', name });
  };

  /** Informs the user of files that others offer, while their list is not open. */
  const notifyOfOffers = (
    before: CallState['fileTransfers'],
    { fileTransfers, peers }: Pick<CallState, 'fileTransfers' | 'peers'>,
  ) => {
    if (get().filesOpen) return;
    for (const { id, direction, state, peerId, metadata } of fileTransfers.values()) {
      if (direction !== 'receive' || state !== 'offered' || before.has(id)) continue;
      const name = peers.get(peerId ?? '')?.name ?? null;
      get().notify({ about: 'fileOffered', name, file: metadata.name });
    }
  };

  /** Sends a request of an administrator. False if it failed, which the user reads. */
  const administrate = async (send: (admin: RoomAdmin) => Promise<void>): Promise<boolean> => {
    if (!call) return false;
    try {
      await send(call.admin);
      return true;
    } catch (error) {
      get().notify({ about: 'notDone', reason: error instanceof Error ? error.message : String(error) });
      return false;
    }
  };

  /** The view, and what the store of the call has made of it. */
  const fieldsOf = (running: Call, view: CallView) => {
    const { peers, localStream, remoteStreams, fileTransfers } = running.store.getState();
    return { call: view, peers, localStream, remoteStreams, fileTransfers };
  };

  return {
    ...noCall(),
    ...peerActions(set),
    ...devices.slice,
    room: link.room,
    name: link.name,
    token: link.token,
    joinsAtOnce: link.join,
    call: null,
    failure: null,
    notices: [],
    ...noPanel,
    unread: 0,
    mutedPeers: new Set(),
    soundBlocked: false,

    setForm: (form) => set(form),

    toggleScreen: async () => {
      if (!call) return;
      const sharing = get().call?.local.get('screen');
      if (sharing) {
        call.setSource('screen', null);
        return;
      }
      const track = await captureScreen();
      // The call may have ended while the user was choosing.
      if (call && track) call.setSource('screen', track);
      else track?.stop();
    },

    join: async () => {
      if (call) return;
      const { room, name, token } = get();
      const joining = new Call(
        {
          room: room.trim(),
          displayName: name.trim(),
          token: token.trim(),
          encryption: link.encrypted ? 'always' : 'asRoom',
        },
        {
          onView: (view) => {
            if (call !== joining) return;
            if (view.session !== 'Ended') {
              stopDropped(get().call, view);
              // An administrator may have paused a source: its switch shows that, and the next press unmutes it.
              devices.follow((source) => view.local.get(source)?.paused);
              notifyOfWaiting(get().call, view);
              const fields = fieldsOf(joining, view);
              notifyOfOffers(get().fileTransfers, fields);
              set(fields);
            } else if (view.failure) {
              call = null;
              // The join page opens them again for its preview.
              view.local.get('screen')?.track.stop();
              devices.close();
              set({ ...noCall(), ...noPanel, call: null, failure: failureOf(view.failure) });
            }
          },
          onNotice: (_, notice) => get().notify({ about: 'call', notice }),
          onSourceStopped: devices.onSourceStopped,
          onChatMessage: () => set(({ unread, chatOpen }) => ({ unread: chatOpen ? 0 : unread + 1 })),
        },
      );
      call = joining;
      set({ failure: null, soundBlocked: false, mutedPeers: new Set(), unread: 0 });
      const offerDevices = () => {
        if (call !== joining) return;
        devices.offer(joining);
      };
      // A page opened with `join=1` joins before its devices are open. The call starts without them if the
      // user has not answered in time.
      const opening = get().devices.unused ? null : devices.opening;
      const isReady = await Promise.race([
        Promise.resolve(opening).then(() => true),
        new Promise<boolean>((done) => setTimeout(done, DEVICES_PAUSE_MS, false)),
      ]);
      if (call !== joining) return;
      if (isReady) offerDevices();
      else {
        get().notify({ about: 'devicesAsked' });
        void opening?.then(offerDevices);
      }
      joining.join();
    },

    joinWithoutDevices: async () => {
      devices.unuse();
      await get().join();
    },

    leave: async () => {
      const leaving = call;
      if (!leaving) return;
      call = null;
      const screen = get().call?.local.get('screen');
      set({ ...noCall(), ...noPanel, call: null });
      screen?.track.stop();
      devices.close();
      await leaving.leave();
    },

    showAt: (sourceId, lines) => call?.setDisplayHeight(sourceId, lines),
    togglePeople: () => set(({ peopleOpen }) => ({ ...noPanel, peopleOpen: !peopleOpen })),
    toggleStatistics: () => set(({ statisticsOpen }) => ({ ...noPanel, statisticsOpen: !statisticsOpen })),
    toggleChat: () => set(({ chatOpen }) => ({ ...noPanel, chatOpen: !chatOpen, unread: 0 })),
    toggleFiles: () => set(({ filesOpen }) => ({ ...noPanel, filesOpen: !filesOpen })),
    toggleDevices: () => set(({ devicesOpen }) => ({ ...noPanel, devicesOpen: !devicesOpen })),

    mutePeer: async (peerId, muted) => {
      if (!(await administrate((admin) => admin.mutePeer(peerId, muted, 'audio')))) return;
      const mutedPeers = new Set(get().mutedPeers);
      if (muted) mutedPeers.add(peerId);
      else mutedPeers.delete(peerId);
      set({ mutedPeers });
    },
    kickPeer: async (peerId) => void (await administrate((admin) => admin.kick(peerId))),
    banPeer: async (peerId, seconds) => void (await administrate((admin) => admin.ban(peerId, { seconds }))),
    clearBans: async () => void (await administrate((admin) => admin.clearBans())),
    setHost: async (peerId, isHost, handOver = false) => {
      const own = get().call?.peerId;
      if (!(await administrate((admin) => admin.setAdmin(peerId, isHost)))) return;
      // Only after the other has the role: the room must not be without a host.
      if (handOver && own) await administrate((admin) => admin.setAdmin(own, false));
    },
    endCall: async () => void (await administrate((admin) => admin.endRoom())),
    setRoom: async (change) => void (await administrate((admin) => admin.setRoom(change))),
    admit: async (waitingId) => void (await administrate((admin) => admin.admit(waitingId))),
    deny: async (waitingId) => void (await administrate((admin) => admin.deny(waitingId))),

    confirmSafetyNumber: (peerId) => call?.confirmSafetyNumber(peerId),
    setSoundBlocked: (soundBlocked) => set({ soundBlocked }),

    notify: (content, stays = false) => {
      const id = ++noticeId;
      set(({ notices }) => ({ notices: [...notices, { id, content }].slice(-NOTICES_MAX) }));
      if (!stays) setTimeout(() => get().dismiss(id), NOTICE_MS);
    },
    dismiss: (id) => set(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) })),
  };
});
