// Which devices the user has chosen, remembered in the storage of the page.

import type { DeviceRole } from '../sdk';
import { save, saved } from './storage';

/** By role, the id of the chosen device; null: the browser selects it. */
export type DeviceChoices = Readonly<Record<DeviceRole, string | null>>;

export interface DeviceSettings {
  choices: DeviceChoices;
  audioOnly: boolean;
}

const KEY = 'leat.devices';

/** Anything that is not as `saveDeviceSettings` wrote it counts as no choice. */
export function loadDeviceSettings(text = saved(KEY)): DeviceSettings {
  const fields = read(text);
  const idOf = (role: DeviceRole) => (typeof fields[role] === 'string' ? fields[role] : null);
  return {
    choices: { microphone: idOf('microphone'), camera: idOf('camera'), speaker: idOf('speaker') },
    audioOnly: fields.audioOnly === true,
  };
}

export function saveDeviceSettings({ choices, audioOnly }: DeviceSettings): void {
  save(KEY, JSON.stringify({ ...choices, audioOnly }));
}

function read(text: string | null): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(text ?? '{}');
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
