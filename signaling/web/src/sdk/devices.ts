// The microphones, cameras and speakers of this computer: which there are, which were added or removed, and on which
// speaker an element plays. `capture.ts` opens microphones and cameras.

import { DeviceError, type DeviceRole, deviceErrorOf } from './device_error';

/** One device of the browser. */
export interface DeviceInfo {
  readonly id: string;
  readonly label: string;
  readonly role: DeviceRole;
}

/** The devices of the browser by their kind. */
export interface DeviceList {
  readonly devices: readonly DeviceInfo[];
  /** Devices that the browser does not name before the user has allowed the page to use one of them. */
  readonly hidden: ReadonlySet<DeviceRole>;
}

/** Devices that came or went. */
export interface DeviceChange {
  readonly added: readonly DeviceInfo[];
  readonly removed: readonly DeviceInfo[];
}

/** The list of a browser without devices. */
export const noDevices: DeviceList = { devices: [], hidden: new Set() };

const roles: Readonly<Record<MediaDeviceKind, DeviceRole>> = {
  audioinput: 'microphone',
  videoinput: 'camera',
  audiooutput: 'speaker',
};

/** Chromium lists the selection of the operating system as devices of their own. Without an id, it is used anyway. */
const SYSTEM_CHOICES = ['default', 'communications'];

export function deviceListOf(infos: readonly Pick<MediaDeviceInfo, 'deviceId' | 'kind' | 'label'>[]): DeviceList {
  const hidden = new Set(infos.filter(({ deviceId }) => deviceId === '').map(({ kind }) => roles[kind]));
  const devices = infos
    .filter(({ deviceId }) => deviceId !== '' && !SYSTEM_CHOICES.includes(deviceId))
    .map(({ deviceId: id, kind, label }) => ({ id, label, role: roles[kind] }));
  return { devices, hidden };
}

/** What was plugged in and out. Devices that were only hidden before are not new. */
export function deviceChange(before: DeviceList, after: DeviceList): DeviceChange {
  const isIn = ({ devices, hidden }: DeviceList, { id, role }: DeviceInfo) =>
    hidden.has(role) || devices.some((device) => device.id === id && device.role === role);
  return {
    added: after.devices.filter((device) => !isIn(before, device)),
    removed: before.devices.filter((device) => !isIn(after, device)),
  };
}

/** The devices of the browser. Names are empty until the user has permitted one. */
export async function listDevices(): Promise<DeviceList> {
  if (!navigator.mediaDevices?.enumerateDevices) return noDevices;
  return deviceListOf(await navigator.mediaDevices.enumerateDevices());
}

/** Follows the list of devices. */
export class DeviceWatch {
  readonly #onChange: (list: DeviceList, change: DeviceChange) => void;
  #list: DeviceList | null = null;
  #last: Promise<void> = Promise.resolve();
  readonly #refresh = () => void this.refresh();

  constructor(onChange: (list: DeviceList, change: DeviceChange) => void) {
    this.#onChange = onChange;
  }

  start(): void {
    globalThis.navigator?.mediaDevices?.addEventListener?.('devicechange', this.#refresh);
    this.#refresh();
  }

  stop(): void {
    globalThis.navigator?.mediaDevices?.removeEventListener?.('devicechange', this.#refresh);
  }

  /** Reads the list again: after the user has allowed a device, the browser names it. */
  refresh(): Promise<void> {
    // One after the other: a list that was read before another one must not replace it.
    this.#last = this.#last.then(async () => {
      const list = await listDevices().catch(() => null);
      if (!list) return;
      const change = deviceChange(this.#list ?? list, list);
      this.#list = list;
      this.#onChange(list, change);
    });
    return this.#last;
  }
}

/** The part of an audio or video element that has a speaker. */
export interface Player {
  readonly sinkId?: string;
  setSinkId?(id: string): Promise<void>;
}

/** Whether this browser lets a page choose the speaker. */
export function canChooseSpeaker(): boolean {
  return typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;
}

/** Plays an element on this speaker; null is the one that the operating system selects. */
export async function playOn(player: Player, speakerId: string | null): Promise<void> {
  const id = speakerId ?? '';
  if ((player.sinkId ?? '') === id) return;
  if (!player.setSinkId) throw new DeviceError('speaker', 'unsupported');
  try {
    await player.setSinkId(id);
  } catch (error) {
    throw deviceErrorOf('speaker', error);
  }
}
