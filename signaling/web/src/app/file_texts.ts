// What the list of files says. Pure.

import type { FileTransfer } from '../sdk';

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** "3.2 MB". */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${unit === 0 && bytes === 1 ? 'byte' : UNITS[unit]}`;
}

/** "about 40 s", "about 3 min"; empty if the rate is 0. */
export function timeLeftText(bytesLeft: number, rate: number): string {
  if (rate <= 0) return '';
  const seconds = bytesLeft / rate;
  if (seconds < 59.5) return `about ${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5_370) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 3_600)} h`;
}

/** "3.2 MB of 10 MB, 1.1 MB/s, about 6 s". */
export function progressText({ bytes, rate, metadata: { size } }: FileTransfer): string {
  const left = timeLeftText(size - bytes, rate);
  const parts = [`${sizeText(bytes)} of ${sizeText(size)}`, ...(left ? [`${sizeText(rate)}/s`, left] : [])];
  return parts.join(', ');
}

/** The state in words. `nameOf` gives the name of a peer. */
export function stateText(transfer: FileTransfer, nameOf: (peerId: string) => string): string {
  const { direction, state, error, peerId } = transfer;
  const isSend = direction === 'send';
  const other = peerId === null ? 'everyone' : nameOf(peerId);
  switch (state) {
    case 'offered':
      return isSend ? `Offered to ${other}` : `${other} offers this file`;
    case 'active':
      return isSend ? `To ${other}` : `From ${other}`;
    case 'paused':
      return `${isSend ? `To ${other}` : `From ${other}`}, paused`;
    case 'done':
      return isSend ? `Sent to ${other}` : `Received from ${other}`;
    case 'declined':
      return error ?? (isSend ? `Declined by ${other}` : 'Declined');
    case 'cancelled':
      return isSend ? `Cancelled, to ${other}` : `Cancelled, from ${other}`;
    case 'failed':
      return error ?? 'Failed';
  }
}

/** For a file to the room: how many have it, and who does not want it. Empty for others. */
export function receiversText({ receivers }: FileTransfer, nameOf: (peerId: string) => string): string {
  if (!receivers) return '';
  const done = receivers.filter(({ state }) => state === 'done').length;
  const groups = [
    { state: 'offered', text: 'no answer yet' },
    { state: 'declined', text: 'declined' },
    { state: 'cancelled', text: 'cancelled' },
    { state: 'failed', text: 'failed' },
  ];
  const rest = groups.flatMap(({ state, text }) => {
    const names = receivers.filter((receiver) => receiver.state === state).map(({ peerId }) => nameOf(peerId));
    return names.length === 0 ? [] : [`${names.join(', ')}: ${text}`];
  });
  return [`${done} of ${receivers.length} have it`, ...rest].join('. ');
}
