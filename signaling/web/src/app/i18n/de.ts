// The texts in German. The keys are those of the English catalogue.

import type { Messages } from './en';
import { numberOf, pluralOf } from './format';

const plural = pluralOf('de');
const number = numberOf('de');

export const de: Messages = {
  language: 'Deutsch',
  number,
  bytes: (count) => plural(count, { one: `${number(count)} Byte`, other: `${number(count)} Bytes` }),

  common: {
    close: 'Schließen',
    dismiss: 'Meldung schließen',
    you: 'Sie',
  },

  settings: {
    language: 'Sprache',
    theme: 'Farben',
    themes: { system: 'Wie das System', dark: 'Dunkel', light: 'Hell' },
  },

  session: {
    handshaking: 'Beitreten…',
    negotiating: 'Verbinden…',
    connected: 'Verbunden',
    reconnecting: 'Neu verbinden…',
    reconnectingOverRelay: 'Über ein Relay neu verbinden…',
    rejoining: 'Erneut beitreten…',
    ended: 'Beendet',
    serverAway: 'Server nicht erreichbar, das Gespräch läuft weiter',
    waiting: 'Warten auf Einlass…',
  },

  call: {
    locked: 'Der Raum ist gesperrt',
    lockedHint: 'Der Raum ist gesperrt: Nur Administratoren können beitreten',
    copyLink: 'Link kopieren',
    copyLinkToRoom: 'Link zu diesem Raum kopieren',
    turnOnSound: 'Ton einschalten',
  },

  controls: {
    bar: 'Bedienung des Gesprächs',
    mute: 'Mikrofon ausschalten',
    unmute: 'Mikrofon einschalten',
    cameraOff: 'Kamera ausschalten',
    cameraOn: 'Kamera einschalten',
    share: 'Bildschirm teilen',
    stopSharing: 'Bildschirm nicht mehr teilen',
    people: 'Teilnehmer',
    peopleWaiting: (count) => `Teilnehmer (${number(count)} warten)`,
    statistics: 'Statistik',
    files: 'Dateien',
    filesOffered: (count) => `Dateien (${number(count)} für Sie angeboten)`,
    leave: 'Gespräch verlassen',
  },
};
