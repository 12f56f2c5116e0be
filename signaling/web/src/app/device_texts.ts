// What the user reads about devices. Pure.

import type { DeviceError, DeviceRole } from '../sdk';
import type { DeviceEvent } from '../stores/device_slice';
import type { BrowserFamily } from './browser';
import type { Messages } from './i18n';

/** Which devices are missing, why, and what to do. Devices with the same reason share a sentence. */
export function deviceFailureText(t: Messages, errors: readonly DeviceError[], browser: BrowserFamily): string {
  const order: DeviceRole[] = ['camera', 'microphone', 'speaker'];
  const sorted = [...errors].sort((a, b) => order.indexOf(a.device) - order.indexOf(b.device));
  const reasons = [...new Set(sorted.map(({ reason }) => reason))];
  return reasons
    .map((reason) => {
      const roles = sorted.filter((error) => error.reason === reason).map(({ device }) => device);
      // One sentence about both would read as if one device could be both.
      const isPlural = reason === 'blocked' || reason === 'blockedBySystem' || reason === 'insecure' || reason === 'dismissed';
      return (isPlural ? [roles] : roles.map((role) => [role]))
        .map((group) => t.devices.failures[reason](group, browser))
        .join(' ');
    })
    .join(' ');
}

export function deviceEventText(t: Messages, event: DeviceEvent, browser: BrowserFamily): string {
  switch (event.on) {
    case 'failed':
      return deviceFailureText(t, event.errors, browser);
    case 'removed':
      return event.now === null
        ? t.devices.removed(event.label, event.role)
        : t.devices.replaced(event.label, event.role, event.now);
    case 'added':
      return t.devices.added([...new Set(event.devices.map(({ label }) => label))].join(', '));
  }
}
