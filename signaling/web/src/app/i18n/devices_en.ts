// The texts about devices in English. `en.ts` includes them.

import type { DeviceFailure, DeviceRole } from '../../sdk';
import type { BrowserFamily } from '../browser';

const names: Record<DeviceRole, string> = { microphone: 'microphone', camera: 'camera', speaker: 'speaker' };
const nameOf = (roles: readonly DeviceRole[]) => roles.map((role) => names[role]).join(' and ');
const are = (roles: readonly DeviceRole[]) => (roles.length > 1 ? 'are' : 'is');
const them = (roles: readonly DeviceRole[]) => (roles.length > 1 ? 'them' : 'it');
const again = (roles: readonly DeviceRole[]) =>
  `Then press the ${nameOf(roles)} ${roles.length > 1 ? 'buttons' : 'button'} again.`;

const allow: Record<BrowserFamily, (roles: readonly DeviceRole[]) => string> = {
  chromium: (roles) => `Select the icon to the left of the address (a lock or two sliders) and allow the ${nameOf(roles)}.`,
  firefox: (roles) => `Select the crossed-out ${nameOf(roles)} icon in the address bar and remove the block.`,
  safari: (roles) => `Open "Settings for this website" in the menu of the address bar and allow the ${nameOf(roles)}.`,
  other: (roles) => `Allow the ${nameOf(roles)} with the icon in the address bar.`,
};

const failures: Record<DeviceFailure, (roles: readonly DeviceRole[], browser: BrowserFamily) => string> = {
  blocked: (roles, browser) =>
    `Your ${nameOf(roles)} ${are(roles)} blocked for this page. ${allow[browser](roles)} ${again(roles)}`,
  dismissed: (roles) =>
    `The browser asked for your ${nameOf(roles)}, and the question was closed. Press the button again and allow ${them(roles)}.`,
  blockedBySystem: (roles) =>
    `The operating system does not let this browser use your ${nameOf(roles)}. Allow ${them(roles)} for the browser in the privacy settings of the system. ${again(roles)}`,
  notFound: (roles) => `No ${nameOf(roles)} was found. Plug one in. ${again(roles)}`,
  inUse: (roles) =>
    `Your ${nameOf(roles)} could not be read: another program may be using ${them(roles)}. Close that program. ${again(roles)}`,
  unsuitable: (roles) => `The chosen ${nameOf(roles)} is not there. Choose another one.`,
  insecure: (roles) => `Browsers allow the ${nameOf(roles)} only on https or localhost. Open this page with https.`,
  unsupported: (roles) => `This browser cannot change the ${nameOf(roles)}. Change it in the settings of the system.`,
  failed: (roles) => `Your ${nameOf(roles)} could not be started. ${again(roles)}`,
};

export const devices = {
  panel: 'Devices',
  roles: { microphone: 'Microphone', camera: 'Camera', speaker: 'Speaker' } satisfies Record<DeviceRole, string>,
  automatic: 'Automatic',
  unnamed: (role: DeviceRole, number: number) => `${names[role]} ${number}`,
  unnamedHint: 'The names appear when you have allowed a device.',
  noSpeakerChoice: 'This browser plays on the speaker that the system selects.',
  audioOnly: 'Audio only',
  audioOnlyHint: 'Your camera stops, and you receive no video.',
  checkConnection: 'Check the connection',
  joinWithout: 'Join without camera and microphone',
  failures,
  removed: (label: string, role: DeviceRole) => `${label || `Your ${names[role]}`} was removed.`,
  replaced: (label: string, role: DeviceRole, now: string) =>
    `${label || `Your ${names[role]}`} was removed. ${now ? `${now} is used now.` : 'The one that the system selects is used now.'}`,
  added: (labels: string) => `${labels} is connected.`,
  use: 'Use it',
};
