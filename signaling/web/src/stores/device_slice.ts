// The part of the store of the app that is about microphone, camera and speaker: which are open, which the user has
// chosen, and what has happened to them. It informs the call, if there is one.

import {
  type CallEvents,
  type Captured,
  captureDevices,
  captureOne,
  DeviceError,
  type DeviceInfo,
  type DeviceKind,
  type DeviceList,
  type DeviceRole,
  DeviceWatch,
  noDevices,
  type VideoReception,
} from '../sdk';
import { type DeviceChoices, loadDeviceSettings, saveDeviceSettings } from './device_settings';

/** Something the user should know about the devices. The app has the words. */
export type DeviceEvent =
  /** Devices could not be opened. */
  | { on: 'failed'; errors: readonly DeviceError[] }
  /** A device that was in use is gone. `now` is the name of the one that replaces it; null: none does. */
  | { on: 'removed'; role: DeviceRole; label: string; now: string | null }
  /** New devices that may be used instead. */
  | { on: 'added'; devices: readonly DeviceInfo[] };

export type DeviceNotice = DeviceEvent & { id: number };

export interface Devices {
  audio: MediaStreamTrack | null;
  video: MediaStreamTrack | null;
  audioOn: boolean;
  videoOn: boolean;
  pending: boolean;
  /** The user wants neither microphone nor camera: none is opened until a switch is pressed. */
  unused: boolean;
  /** Why devices are missing. */
  errors: readonly DeviceError[];
  list: DeviceList;
  choices: DeviceChoices;
  /** No video is sent or received. */
  audioOnly: boolean;
  notices: readonly DeviceNotice[];
}

export interface DeviceSlice {
  devices: Devices;
  openDevices(): Promise<void>;
  toggleMicrophone(): Promise<void>;
  toggleCamera(): Promise<void>;
  /** Null: the browser selects the device. */
  chooseDevice(role: DeviceRole, id: string | null): Promise<void>;
  /** Chooses these devices, and switches them on. */
  switchTo(devices: readonly DeviceInfo[]): Promise<void>;
  setAudioOnly(audioOnly: boolean): void;
  /** No video is requested for a page that is not visible. */
  setPageHidden(hidden: boolean): void;
  reportDevice(event: DeviceEvent): void;
  dismissDeviceNotice(id: number): void;
}

/** The part of a `Call` that devices need. */
export interface DeviceCall {
  setSource(source: string, track: MediaStreamTrack | null, paused?: boolean): void;
  setPaused(source: string, paused: boolean): void;
  setVideoReception(reception: VideoReception): void;
}

/** What the rest of the store needs, beside the actions. */
export interface DeviceControl {
  readonly slice: DeviceSlice;
  /** The running request for devices; null while there is none. */
  readonly opening: Promise<void> | null;
  /** Sends the open devices. */
  offer(call: DeviceCall): void;
  /** The source is no longer sent: its device stops. */
  drop(track: MediaStreamTrack): void;
  close(): void;
  unuse(): void;
  /** The sources that the call sends, whose switches may have changed. */
  follow(isPaused: (source: string) => boolean | undefined): void;
  readonly onSourceStopped: NonNullable<CallEvents['onSourceStopped']>;
}

interface Access {
  get(): DeviceSlice;
  set(change: { devices: Devices }): void;
  call(): DeviceCall | null;
}

/** Notices on screen at once; a new one replaces the oldest. */
const NOTICES_MAX = 3;

const KINDS = ['audio', 'video'] as const;
const sourceOf = { audio: 'microphone', video: 'camera' } as const;
const switchOf = { audio: 'audioOn', video: 'videoOn' } as const;

/** The speaker to play on: the chosen one while it is there. */
export function speakerOf({ list, choices }: Pick<Devices, 'list' | 'choices'>): string | null {
  return list.devices.some(({ role, id }) => role === 'speaker' && id === choices.speaker) ? choices.speaker : null;
}

export function deviceControl({ get, set, call }: Access): DeviceControl {
  let opening: Promise<void> | null = null;
  let isHidden = false;
  let noticeId = 0;
  /** By kind, the latest wish for a track; an older one ends without effect. */
  const wishes: Record<DeviceKind, object | null> = { audio: null, video: null };
  /** By kind, the running search for a device in place of one that is gone. */
  const replacing = new Map<DeviceKind, Promise<MediaStreamTrack | null>>();

  const devices = () => get().devices;
  const patch = (change: Partial<Devices>) => set({ devices: { ...devices(), ...change } });
  const report = (event: DeviceEvent) => {
    noticeId += 1;
    // A later failure of a device takes the place of an earlier one.
    const others = devices().notices.filter(({ on }) => on !== 'failed' || event.on !== 'failed');
    patch({ notices: [...others, { ...event, id: noticeId }].slice(-NOTICES_MAX) });
  };
  const save = () => saveDeviceSettings({ choices: devices().choices, audioOnly: devices().audioOnly });
  const reception = (): VideoReception => (devices().audioOnly ? 'off' : isHidden ? 'paused' : 'on');

  const watch = new DeviceWatch((list, { added, removed }) => {
    patch({ list });
    for (const { id, role, label } of removed) {
      if (role === 'speaker') {
        if (devices().choices.speaker === id) report({ on: 'removed', role, label, now: '' });
        continue;
      }
      const kind = role === 'microphone' ? 'audio' : 'video';
      if (devices()[kind]?.getSettings().deviceId === id) void replaceGone(kind);
    }
    if (added.length > 0) report({ on: 'added', devices: added });
  });

  /** Takes a track in use, in the preview and in the call if there is one. */
  const adopt = (kind: DeviceKind, track: MediaStreamTrack) => {
    const before = devices()[kind];
    const isOn = devices()[switchOf[kind]];
    // In a call, the producer enables and disables this track; in the preview, it is done here.
    track.enabled = isOn;
    patch({ [kind]: track, errors: devices().errors.filter(({ device }) => device !== sourceOf[kind]) });
    follow(kind, track);
    call()?.setSource(sourceOf[kind], track, !isOn);
    if (before !== track) before?.stop();
  };

  const follow = (kind: DeviceKind, track: MediaStreamTrack) => {
    track.addEventListener('ended', () => {
      if (devices()[kind] === track) void replaceGone(kind);
    });
  };

  /** Opens a device in place of the one in use. The result is null after a failure, which is not reported. */
  const open = async (kind: DeviceKind, id: string | null, required = false): Promise<MediaStreamTrack | DeviceError | null> => {
    const wish = {};
    wishes[kind] = wish;
    let captured = await captureOne(kind, id, required);
    if ('error' in captured && captured.error.reason === 'inUse' && devices()[kind]) {
      // Some phones open one camera at a time.
      devices()[kind]?.stop();
      captured = await captureOne(kind, id, required);
    }
    const isLatest = wishes[kind] === wish;
    if ('error' in captured) return isLatest ? captured.error : null;
    if (!isLatest) {
      captured.track.stop();
      return null;
    }
    adopt(kind, captured.track);
    void watch.refresh();
    return captured.track;
  };

  const openOrReport = async (kind: DeviceKind, id: string | null, required = false) => {
    const result = await open(kind, id, required);
    if (result instanceof DeviceError) report({ on: 'failed', errors: [result] });
  };

  /** The device in use is gone: the browser selects another one. */
  const replaceGone = (kind: DeviceKind): Promise<MediaStreamTrack | null> => {
    const running = replacing.get(kind);
    if (running) return running;
    const replace = async () => {
      const gone = devices()[kind];
      const result = await open(kind, null);
      const track = result instanceof DeviceError ? null : result;
      if (result instanceof DeviceError) {
        call()?.setSource(sourceOf[kind], null);
        gone?.stop();
        patch({ [kind]: null });
      }
      if (result !== null) report({ on: 'removed', role: sourceOf[kind], label: gone?.label ?? '', now: track?.label ?? null });
      return track;
    };
    const search = replace().finally(() => replacing.delete(kind));
    replacing.set(kind, search);
    return search;
  };

  /** Switches a device on or off. */
  const toggle = async (kind: DeviceKind) => {
    const on = switchOf[kind];
    if (kind === 'video' && devices().audioOnly) slice.setAudioOnly(false);
    const track = devices()[kind];
    if (!track || track.readyState === 'ended') {
      patch({ [on]: true, unused: false });
      await openOrReport(kind, devices().choices[sourceOf[kind]]);
      return;
    }
    const wanted = !devices()[on];
    if (!call()) track.enabled = wanted;
    patch({ [on]: wanted });
    call()?.setPaused(sourceOf[kind], !wanted);
  };

  const take = (captured: Captured) => {
    const { audioOnly, unused } = devices();
    const tracks = { audio: captured.audio, video: captured.video };
    for (const kind of KINDS) {
      const track = tracks[kind];
      if (!track) continue;
      // The user has changed their mind during the request.
      if (unused || (audioOnly && kind === 'video')) {
        track.stop();
        tracks[kind] = null;
        continue;
      }
      track.enabled = devices()[switchOf[kind]];
      follow(kind, track);
    }
    const errors = unused ? [] : Object.values(captured.errors).filter((error) => error !== null);
    patch({ ...tracks, errors, pending: false });
  };

  const slice: DeviceSlice = {
    devices: {
      audio: null,
      video: null,
      audioOn: true,
      videoOn: true,
      pending: false,
      unused: false,
      errors: [],
      list: noDevices,
      notices: [],
      ...loadDeviceSettings(),
    },

    openDevices: () => {
      if (devices().unused) return Promise.resolve();
      opening ??= (async () => {
        watch.start();
        patch({ pending: true });
        const { choices, audioOnly } = devices();
        take(await captureDevices({ ...choices, kinds: audioOnly ? ['audio'] : KINDS }));
        opening = null;
        void watch.refresh();
      })();
      return opening;
    },

    toggleMicrophone: () => toggle('audio'),
    toggleCamera: () => toggle('video'),

    chooseDevice: async (role, id) => {
      patch({ choices: { ...devices().choices, [role]: id } });
      save();
      if (role === 'speaker') return;
      const kind = role === 'microphone' ? 'audio' : 'video';
      if (devices()[kind]) await openOrReport(kind, id, true);
    },

    switchTo: async (added) => {
      for (const { role, id } of added) {
        await get().chooseDevice(role, id);
        if (role === 'microphone' && !devices().audio) await toggle('audio');
        if (role === 'camera' && !devices().video && !devices().audioOnly) await toggle('video');
      }
    },

    setAudioOnly: (audioOnly) => {
      const { video } = devices();
      patch({ audioOnly });
      save();
      call()?.setVideoReception(reception());
      if (!audioOnly) return;
      wishes.video = null;
      call()?.setSource('camera', null);
      video?.stop();
      patch({ video: null, errors: devices().errors.filter(({ device }) => device !== 'camera') });
    },

    setPageHidden: (hidden) => {
      isHidden = hidden;
      call()?.setVideoReception(reception());
    },

    reportDevice: report,
    dismissDeviceNotice: (id) => patch({ notices: devices().notices.filter((notice) => notice.id !== id) }),
  };

  return {
    slice,
    get opening() {
      return opening;
    },
    offer: (running) => {
      const { audio, video, audioOn, videoOn, errors } = devices();
      if (audio) running.setSource('microphone', audio, !audioOn);
      if (video) running.setSource('camera', video, !videoOn);
      running.setVideoReception(reception());
      if (errors.length > 0) report({ on: 'failed', errors });
    },
    drop: (track) => {
      track.stop();
      for (const kind of KINDS) if (devices()[kind] === track) patch({ [kind]: null });
    },
    close: () => {
      for (const kind of KINDS) {
        wishes[kind] = null;
        devices()[kind]?.stop();
      }
      patch({ audio: null, video: null, notices: [] });
    },
    unuse: () => {
      for (const kind of KINDS) devices()[kind]?.stop();
      patch({ audio: null, video: null, errors: [], unused: true, pending: false });
    },
    follow: (isPaused) => {
      const { audioOn, videoOn } = devices();
      const isOn = (source: string, otherwise: boolean) => !(isPaused(source) ?? !otherwise);
      const now = { audioOn: isOn('microphone', audioOn), videoOn: isOn('camera', videoOn) };
      if (now.audioOn !== audioOn || now.videoOn !== videoOn) patch(now);
    },
    onSourceStopped: async (source) => {
      const kind = KINDS.find((kind) => sourceOf[kind] === source);
      return kind ? replaceGone(kind) : null;
    },
  };
}
