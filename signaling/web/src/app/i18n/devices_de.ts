// The texts about devices in German. `de.ts` includes them.

import type { DeviceFailure, DeviceRole } from '../../sdk';
import type { BrowserFamily } from '../browser';
import type { devices as english } from './devices_en';

const names: Record<DeviceRole, string> = { microphone: 'Mikrofon', camera: 'Kamera', speaker: 'Lautsprecher' };
const nameOf = (roles: readonly DeviceRole[]) => roles.map((role) => names[role]).join(' und ');
const are = (roles: readonly DeviceRole[]) => (roles.length > 1 ? 'sind' : 'ist');
const again = (roles: readonly DeviceRole[]) =>
  roles.length > 1
    ? `Drücken Sie dann die Tasten für ${nameOf(roles)} erneut.`
    : `Drücken Sie dann die Taste „${nameOf(roles)}“ erneut.`;

const allow: Record<BrowserFamily, (roles: readonly DeviceRole[]) => string> = {
  chromium: (roles) =>
    `Wählen Sie das Symbol links neben der Adresse (Schloss oder zwei Regler) und erlauben Sie: ${nameOf(roles)}.`,
  firefox: (roles) =>
    `Wählen Sie das durchgestrichene Symbol (${nameOf(roles)}) in der Adressleiste und heben Sie die Sperre auf.`,
  safari: (roles) => `Öffnen Sie „Einstellungen für diese Website“ im Menü der Adressleiste und erlauben Sie: ${nameOf(roles)}.`,
  other: (roles) => `Erlauben Sie mit dem Symbol in der Adressleiste: ${nameOf(roles)}.`,
};

const failures: Record<DeviceFailure, (roles: readonly DeviceRole[], browser: BrowserFamily) => string> = {
  blocked: (roles, browser) =>
    `${nameOf(roles)} ${are(roles)} für diese Seite gesperrt. ${allow[browser](roles)} ${again(roles)}`,
  dismissed: (roles) =>
    `Der Browser hat nach der Erlaubnis für ${nameOf(roles)} gefragt, und die Frage wurde geschlossen. ${again(roles)}`,
  blockedBySystem: (roles) =>
    `Das Betriebssystem erlaubt diesem Browser nicht: ${nameOf(roles)}. Ändern Sie das in den Datenschutzeinstellungen des Systems. ${again(roles)}`,
  notFound: (roles) => `Nicht gefunden: ${nameOf(roles)}. Schließen Sie ein Gerät an. ${again(roles)}`,
  inUse: (roles) =>
    `${nameOf(roles)} ${are(roles)} nicht lesbar: Vielleicht verwendet ein anderes Programm das Gerät. Schließen Sie dieses Programm. ${again(roles)}`,
  unsuitable: (roles) => `Das gewählte Gerät (${nameOf(roles)}) ist nicht vorhanden. Wählen Sie ein anderes.`,
  insecure: (roles) => `Browser erlauben ${nameOf(roles)} nur über https oder auf localhost. Öffnen Sie diese Seite mit https.`,
  unsupported: (roles) =>
    `Dieser Browser kann das Gerät nicht wechseln: ${nameOf(roles)}. Wechseln Sie es in den Einstellungen des Systems.`,
  failed: (roles) => `Konnte nicht gestartet werden: ${nameOf(roles)}. ${again(roles)}`,
};

export const devices: typeof english = {
  panel: 'Geräte',
  roles: names as typeof english.roles,
  automatic: 'Automatisch',
  unnamed: (role, number) => `${names[role]} ${number}`,
  unnamedHint: 'Die Namen erscheinen, sobald Sie ein Gerät erlaubt haben.',
  noSpeakerChoice: 'Dieser Browser verwendet den Lautsprecher, den das System auswählt.',
  audioOnly: 'Nur Ton',
  audioOnlyHint: 'Ihre Kamera wird angehalten, und Sie empfangen kein Video.',
  checkConnection: 'Verbindung prüfen',
  joinWithout: 'Ohne Kamera und Mikrofon beitreten',
  failures,
  removed: (label, role) => `${label || names[role]} wurde entfernt.`,
  replaced: (label, role, now) =>
    `${label || names[role]} wurde entfernt. Jetzt in Verwendung: ${now || 'das Gerät, das das System auswählt'}.`,
  added: (labels) => `Angeschlossen: ${labels}.`,
  use: 'Verwenden',
};
