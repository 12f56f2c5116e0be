// The texts of the list of files. Pure.

import type { FileTransfer } from '../sdk';
import type { Messages } from './i18n';

const UNITS = ['kB', 'MB', 'GB', 'TB'];

/** "3.2 MB". */
export function sizeText(t: Messages, bytes: number): string {
  if (bytes < 999.5) return t.bytes(Math.round(bytes));
  let value = bytes / 1_000;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${t.number(value, value >= 9.95 ? 0 : 1)} ${UNITS[unit]}`;
}

/** "about 40 s", "about 3 min"; empty if the rate is 0. */
export function timeLeftText(t: Messages, bytesLeft: number, rate: number): string {
  if (rate <= 0) return '';
  const seconds = bytesLeft / rate;
  if (seconds < 59.5) return t.files.about(`${Math.max(1, Math.round(seconds))} s`);
  if (seconds < 5_370) return t.files.about(`${Math.round(seconds / 60)} min`);
  return t.files.about(`${Math.round(seconds / 3_600)} h`);
}

/** "3.2 MB of 10 MB, 1.1 MB/s, about 6 s". */
export function progressText(t: Messages, { bytes, rate, metadata: { size } }: FileTransfer): string {
  const left = timeLeftText(t, size - bytes, rate);
  const parts = [t.files.progress(sizeText(t, bytes), sizeText(t, size)), ...(left ? [`${sizeText(t, rate)}/s`, left] : [])];
  return parts.join(', ');
}

/** The state in words. `nameOf` gives the name of a peer. */
export function stateText(t: Messages, transfer: FileTransfer, nameOf: (peerId: string) => string): string {
  const { direction, state, error, errorCode, peerId } = transfer;
  const other = peerId === null ? t.files.everyone : nameOf(peerId);
  if (state === 'declined' || state === 'failed') {
    const text = errorCode && errorCode !== 'USER' ? t.files.errors[direction][errorCode] : error;
    if (text) return text;
  }
  return t.files.states[direction][state](other);
}

/** For a file to the room: how many have it, and who does not want it. Empty for others. */
export function receiversText(t: Messages, { receivers }: FileTransfer, nameOf: (peerId: string) => string): string {
  if (!receivers) return '';
  const done = receivers.filter(({ state }) => state === 'done').length;
  const groups = (['offered', 'declined', 'cancelled', 'failed'] as const).flatMap((state) => {
    const names = receivers.filter((receiver) => receiver.state === state).map(({ peerId }) => nameOf(peerId));
    return names.length === 0 ? [] : [`${names.join(', ')}: ${t.files.without[state]}`];
  });
  return [t.files.haveIt(done, receivers.length), ...groups].join('. ');
}
