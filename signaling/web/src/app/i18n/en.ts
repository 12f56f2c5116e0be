// The texts in English. This catalogue defines the keys of all others. Sections and their keys follow the components.

import { numberOf, pluralOf } from './format';

const plural = pluralOf('en');
const number = numberOf('en');

export const en = {
  /** Name of the language in itself, for the choice of languages. */
  language: 'English',
  number,
  bytes: (count: number) => plural(count, { one: `${number(count)} byte`, other: `${number(count)} bytes` }),

  common: {
    close: 'Close',
    dismiss: 'Dismiss',
    you: 'You',
  },

  settings: {
    language: 'Language',
    theme: 'Colours',
    themes: { system: 'As the system', dark: 'Dark', light: 'Light' },
  },

  session: {
    handshaking: 'Joining…',
    negotiating: 'Connecting…',
    connected: 'Connected',
    reconnecting: 'Reconnecting…',
    reconnectingOverRelay: 'Reconnecting over a relay…',
    rejoining: 'Joining again…',
    ended: 'Ended',
    serverAway: 'Server away, call continues',
    waiting: 'Waiting to be admitted…',
  },

  call: {
    locked: 'The room is locked',
    lockedHint: 'The room is locked: only administrators may join',
    copyLink: 'Copy the link',
    copyLinkToRoom: 'Copy the link to this room',
    turnOnSound: 'Turn on sound',
  },

  controls: {
    bar: 'Call controls',
    mute: 'Mute microphone',
    unmute: 'Unmute microphone',
    cameraOff: 'Turn camera off',
    cameraOn: 'Turn camera on',
    share: 'Share the screen',
    stopSharing: 'Stop sharing the screen',
    people: 'Who is here',
    peopleWaiting: (count: number) => `Who is here (${number(count)} waiting)`,
    statistics: 'Statistics',
    files: 'Files',
    filesOffered: (count: number) => `Files (${number(count)} offered to you)`,
    leave: 'Leave the call',
  },
};

export type Messages = typeof en;
