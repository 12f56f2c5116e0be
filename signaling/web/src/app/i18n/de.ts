// The texts in German. The keys are those of the English catalogue.

import { check } from './check_de';
import { devices } from './devices_de';
import type { Messages } from './en';
import { capital, numberOf, pluralOf } from './format';

const plural = pluralOf('de');
const number = numberOf('de');

/** Only words whose nominative and accusative are equal, so that each sentence can use them. */
const sources: Record<string, { name: string; your: string }> = {
  microphone: { name: 'Mikrofon', your: 'Ihr Mikrofon' },
  camera: { name: 'Kamera', your: 'Ihre Kamera' },
  screen: { name: 'Bildschirm', your: 'Ihre Bildschirmfreigabe' },
};
const nameOf = (source: string) => sources[source]?.name ?? source;
const yourOf = (source: string) => sources[source]?.your ?? `Ihre Quelle „${source}“`;

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
    title: 'Sprache und Anzeige',
    shortcuts: 'Einzelne Buchstaben sind Kurzbefehle',
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
    skip: 'Zur Bedienung',
    locked: 'Der Raum ist gesperrt',
    lockedHint: 'Der Raum ist gesperrt: Nur Administratoren können beitreten',
    alone: 'Sie sind als Erste oder Erster hier.',
    inWaitingRoom: 'Sie sind im Warteraum. Ein Administrator muss Sie einlassen.',
    linkCopied: 'Link kopiert.',
    linkCopiedToSend: 'Link kopiert. Schicken Sie ihn allen, die Sie einladen möchten.',
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
    peopleWaiting: (count) => `Teilnehmer (${plural(count, { one: '1 wartet', other: `${number(count)} warten` })})`,
    statistics: 'Statistik',
    files: 'Dateien',
    filesOffered: (count) => `Dateien (${number(count)} für Sie angeboten)`,
    leave: 'Gespräch verlassen',
  },

  join: {
    title: 'Einem Raum beitreten',
    lead: 'Hier treffen sich alle, die denselben Raumnamen eingeben.',
    preview: 'Ihre Kamera und Ihr Mikrofon',
    cameraStarts: 'Kamera startet…',
    cameraIsOff: 'Kamera ist aus',
    room: 'Raum',
    roomHint: 'Buchstaben (ohne Umlaute), Ziffern, Punkte, Binde- und Unterstriche',
    roomExample: 'muehlteich',
    name: 'Ihr Name',
    nameExample: 'Ada',
    token: 'Token',
    tokenHint: 'Vom Betreiber des Servers',
    haveToken: 'Ich habe ein Token',
    join: 'Beitreten',
  },

  check,
  devices,

  tile: {
    screen: (name) => `Bildschirm von ${name}`,
    self: (name) => `${name} (Sie)`,
    muted: 'stumm',
    starved: 'angehalten: langsame Verbindung',
    weak: 'schwache Verbindung',
  },

  quality: { good: 'Verbindung: gut', fair: 'Verbindung: mäßig', poor: 'Verbindung: schlecht' },

  people: {
    panel: 'Teilnehmer',
    title: 'Teilnehmer',
    you: 'Sie',
    microphoneOn: 'Mikrofon an',
    microphoneOff: 'Mikrofon aus',
    cameraOn: 'Kamera an',
    cameraOff: 'Kamera aus',
    reconnecting: 'verbindet neu',
    sharing: 'teilt einen Bildschirm',
    presence: { idle: 'inaktiv', away: 'abwesend' },
  },

  admin: {
    mute: 'Stumm schalten',
    mutePerson: (name) => `${name} stumm schalten`,
    allowUnmute: 'Sprechen erlauben',
    allowUnmutePerson: (name) => `${name} das Sprechen erlauben`,
    remove: 'Entfernen',
    removePerson: (name) => `${name} entfernen`,
    removeQuestion: (name) => `${name} entfernen?`,
    removeConfirmed: (name) => `Ja, ${name} entfernen`,
    keep: 'Behalten',
    keepPerson: (name) => `${name} behalten`,
    waitingRoom: 'Warteraum',
    waiting: 'Warten auf Einlass',
    admit: 'Einlassen',
    admitPerson: (name) => `${name} einlassen`,
    deny: 'Abweisen',
    denyPerson: (name) => `${name} abweisen`,
    settings: 'Einstellungen des Raums',
    lock: 'Raum sperren',
    encrypt: 'Ende-zu-Ende-Verschlüsselung',
  },

  encryption: {
    title: (name) => `Verschlüsselung mit ${name}`,
    states: {
      encrypted: 'Ende-zu-Ende-verschlüsselt',
      waitingForKey: 'Warten auf den Schlüssel',
      wrongKey: 'falscher Schlüssel',
    },
    trust: { verified: 'geprüft', changed: 'neuer Schlüssel' },
    wrongKey: (name) =>
      `Was von ${name} ankommt, wurde nicht mit dem Schlüssel von ${name} verschlüsselt und wird deshalb nicht gezeigt.`,
    noKey: (name) =>
      `Von ${name} ist noch kein Schlüssel angekommen, oder ${name} verschlüsselt nicht. Bis dahin wird von ${name} nichts gezeigt.`,
    verified: 'Sie haben diese Nummer schon mit dieser Person verglichen.',
    changed: (name) => `${name} hat eine andere Nummer als zuvor: ein anderes Gerät, ein neuer Browser oder eine andere Person.`,
    compare: 'Lesen Sie sich die Nummer gegenseitig vor. Ist sie bei beiden gleich, haben nur Sie beide die Schlüssel.',
    numbersAreEqual: 'Die Nummern sind gleich',
  },

  statistics: {
    values: {
      bitRate: 'Bitrate',
      packetLoss: 'Paketverlust',
      jitter: 'Jitter',
      roundTrip: 'Umlaufzeit',
      opinionScore: 'MOS-Wert',
      freezes: 'Standbilder',
    },
    plot: (name, now) => `${name} über zwei Minuten, jetzt ${now}`,
    own: (source) => capital(yourOf(source)),
    of: (name, source) => `${name}: ${nameOf(source)}`,
    nothing: 'Es gibt noch keine Messwerte.',
  },

  files: {
    send: 'Dateien senden',
    to: 'An',
    everyone: 'alle',
    left: 'eine Person, die nicht mehr da ist',
    drop: 'Dateien hier ablegen oder auswählen',
    steps: {
      cancel: 'Abbrechen',
      accept: 'Annehmen',
      decline: 'Ablehnen',
      pause: 'Anhalten',
      resume: 'Fortsetzen',
      save: 'Speichern',
      remove: 'Entfernen',
    },
    stepOf: (step, file) => `${step}: ${file}`,
    progressOf: (file) => `Fortschritt von ${file}`,
    about: (time) => `etwa ${time}`,
    progress: (bytes, size) => `${bytes} von ${size}`,
    states: {
      send: {
        offered: (to) => `Angeboten an: ${to}`,
        active: (to) => `An: ${to}`,
        paused: (to) => `An: ${to}, angehalten`,
        done: (to) => `Gesendet an: ${to}`,
        declined: (to) => `Abgelehnt von: ${to}`,
        cancelled: (to) => `Abgebrochen, an: ${to}`,
        failed: (to) => `Fehlgeschlagen, an: ${to}`,
      },
      receive: {
        offered: (from) => `${from} bietet diese Datei an`,
        active: (from) => `Von ${from}`,
        paused: (from) => `Von ${from}, angehalten`,
        done: (from) => `Empfangen von ${from}`,
        declined: (from) => `Abgelehnt, von ${from}`,
        cancelled: (from) => `Abgebrochen, von ${from}`,
        failed: (from) => `Fehlgeschlagen, von ${from}`,
      },
    },
    without: { offered: 'noch keine Antwort', declined: 'abgelehnt', cancelled: 'abgebrochen', failed: 'fehlgeschlagen' },
    haveIt: (done, all) => `${number(done)} von ${number(all)} haben sie`,
    errors: {
      send: {
        QUOTA: 'Die andere Person hat zu viele offene Dateien von Ihnen. Versuchen Sie es erneut, wenn einige fertig sind.',
        TOO_LARGE: 'Die Datei ist größer, als die andere Seite annimmt.',
        UNKNOWN_TRANSFER: 'Die andere Seite hat diese Übertragung nicht mehr. Senden Sie die Datei erneut.',
        PROTOCOL: 'Die andere Seite hat eine ungültige Nachricht gesendet.',
        STORAGE: 'Die andere Seite konnte die Datei nicht speichern.',
        SOURCE: 'Die Datei konnte nicht gelesen werden. Vielleicht wurde sie geändert oder verschoben; wählen Sie sie erneut.',
        WRONG_HASH: 'Die Datei kam mit anderen Bytes an, als gesendet wurden. Senden Sie sie erneut.',
        CORRUPT: 'Teile der Datei kamen immer wieder beschädigt an.',
        TIMEOUT: 'Die andere Seite hat nicht geantwortet.',
        PEER_LEFT: 'Die andere Person hat den Raum verlassen.',
      },
      receive: {
        QUOTA: 'Diese Person hat zu viele Dateien auf einmal gesendet.',
        TOO_LARGE: 'Die Datei ist zu groß.',
        UNKNOWN_TRANSFER: 'Der Absender hat diese Übertragung nicht mehr. Bitten Sie erneut um die Datei.',
        PROTOCOL: 'Der Absender hat eine ungültige Nachricht gesendet.',
        STORAGE: 'Die Datei konnte nicht gespeichert werden. Schaffen Sie Platz und bitten Sie erneut um die Datei.',
        SOURCE: 'Der Absender konnte die Datei nicht lesen.',
        WRONG_HASH: 'Die Datei kam mit anderen Bytes an, als gesendet wurden, und wurde gelöscht. Bitten Sie erneut darum.',
        CORRUPT: 'Teile der Datei kamen immer wieder beschädigt an.',
        TIMEOUT: 'Der Absender hat nicht geantwortet.',
        PEER_LEFT: 'Der Absender hat den Raum verlassen.',
      },
    },
  },

  notices: {
    waiting: (name) => `${name} wartet auf Einlass.`,
    fileOffered: (name, file) =>
      `${name ?? 'Ein Teilnehmer'} bietet Ihnen die Datei ${file} an. Öffnen Sie die Dateien, um sie anzunehmen.`,
    notDone: (reason) => `Nicht ausgeführt: ${reason}`,
    devicesAsked:
      'Ihr Browser fragt, ob diese Seite Kamera und Mikrofon verwenden darf. Sie sind im Gespräch; antworten Sie, um gesehen und gehört zu werden.',
    call: {
      SOURCE_STOPPED: ({ source = '' }) => `${capital(yourOf(source))} wurde beendet.`,
      MUTED: ({ source = '' }) => `Ein Administrator hat ${yourOf(source)} ausgeschaltet.`,
      MAY_UNMUTE: ({ source = '' }) => `Sie dürfen ${yourOf(source)} wieder einschalten.`,
      ONLY_ADMINISTRATORS_SEND: () => 'In diesem Raum dürfen nur Administratoren senden.',
      MAY_NOT_SEND: ({ source = '' }) => `In diesem Raum dürfen Sie ${yourOf(source)} nicht senden.`,
      SOURCE_REFUSED: ({ source = '' }) => `Der Server nimmt ${yourOf(source)} nicht an.`,
      SUBSCRIBERS_REFUSED: ({ source = '' }) => `Der Server nimmt nicht an, wer ${yourOf(source)} empfangen darf.`,
      MAY_NOT_RECEIVE: () => 'Sie dürfen die anderen in diesem Raum nicht sehen und hören.',
      CANNOT_PLAY: ({ source = 'Stream', name = 'einem Teilnehmer' }) =>
        `Dieser Browser kann von ${name} nicht abspielen: ${nameOf(source)}.`,
      CHANNELS_UNAVAILABLE: () => 'Dateien und Daten einiger Teilnehmer können hier nicht empfangen werden.',
      STILL_TRYING: ({ reason = '' }) => `${reason} Es wird weiter versucht.`,
      KEY_CHANGED: ({ name = '' }) =>
        `Der Schlüssel von ${name} hat sich geändert. Vergleichen Sie die Sicherheitsnummer, bevor Sie diesem Gespräch vertrauen.`,
    },
  },

  failures: {
    EVICTED: (reason) => `Sie sind nicht mehr im Gespräch: ${reason}.`,
    NOT_ADMITTED: (reason) => `Sie konnten nicht beitreten: ${reason}.`,
    ROOM_LOCKED: () => 'Dieser Raum ist gesperrt: Zurzeit können nur Administratoren beitreten.',
    ROOM_FULL: () => 'Dieser Raum ist voll. Versuchen Sie es erneut, wenn eine Person gegangen ist.',
    LIMIT: (reason) => `Eine Grenze des Servers ist erreicht: ${reason}.`,
    TOKEN_MISSING: () => 'Dieser Server braucht ein Token. Sie erhalten es von seinem Betreiber.',
    TOKEN_MALFORMED: (reason) => `Das ist kein Token: ${reason}.`,
    TOKEN_ALGORITHM: (reason) => `Der Server nimmt das Token nicht an: ${reason}.`,
    TOKEN_SIGNATURE: () => 'Die Signatur des Tokens ist falsch. Kopieren Sie das ganze Token noch einmal.',
    TOKEN_EXPIRED: () => 'Das Token ist abgelaufen. Sie brauchen ein neues.',
    TOKEN_NOT_YET_VALID: () => 'Das Token ist noch nicht gültig. Vergleichen Sie die Uhren des Ausstellers und des Servers.',
    TOKEN_ROOM: () => 'Das Token ist für einen anderen Raum.',
    TOKEN_PERMISSION: (reason) => `Das Token erlaubt das nicht: ${reason}.`,
    TOKEN_KEY: (reason) => `Der Server kennt den Schlüssel des Tokens nicht: ${reason}.`,
    TOKEN_AUDIENCE: (reason) => `Das Token ist für einen anderen Server: ${reason}.`,
    TOKEN_REVOKED: () => 'Das Token wurde widerrufen. Sie brauchen ein neues.',
    UNSUPPORTED_VERSION: () => 'Diese Seite passt nicht zum Server. Laden Sie sie neu.',
    ENCRYPTION_UNAVAILABLE: (reason) => `Dieser Raum ist Ende-zu-Ende-verschlüsselt, und das geht hier nicht: ${reason}.`,
    DRAINING: () => 'Der Server wird beendet. Versuchen Sie es gleich noch einmal.',
    STORE_UNAVAILABLE: () => 'Der Server erreicht seine Datenbank nicht. Versuchen Sie es gleich noch einmal.',
    ENGINE_UNAVAILABLE: () => 'Der Medienserver ist nicht erreichbar. Versuchen Sie es gleich noch einmal.',
    INTERNAL: () => 'Der Server hat einen internen Fehler. Die Ursache steht in seinem Protokoll.',
    PERMISSION_DENIED: () => 'Das ist in diesem Raum nicht erlaubt.',
    CLOSED: () => 'Das Gespräch ist beendet.',
    FILE_TOO_LARGE: () => 'Die Datei ist zu groß.',
    NO_RECEIVER: () => 'Keine andere Person ist im Raum.',
    SIGNALING_LOST: () => 'Die Verbindung zum Server ging verloren.',
  },

  whip: {
    title: 'WHIP und WHEP',
    lead: 'Diese Kamera und dieses Mikrofon in einen Raum senden oder einen Raum abspielen.',
    picture: 'Bild',
    noPicture: 'Kein Bild',
    name: 'Name',
    nameExample: 'Kamera 1',
    token: 'Token oder Stream-Schlüssel',
    publishedCodec: 'Codec des gesendeten Videos',
    anyCodec: 'Vom Server gewählt',
    publish: 'Senden',
    play: 'Abspielen',
    stop: 'Beenden',
    stream: 'Stream',
    codec: 'Codec',
    layer: 'Ebene',
    count: 'Bilder oder Pakete',
    streams: {
      sent: { audio: 'Audio gesendet', video: 'Video gesendet' },
      received: { audio: 'Audio empfangen', video: 'Video empfangen' },
    },
    states: {
      idle: 'Nicht verbunden.',
      connecting: 'Verbinden…',
      waiting: 'Warten auf einen Sender.',
      publishing: 'Sendet.',
      playing: 'Spielt ab.',
      failed: 'Fehlgeschlagen.',
    },
  },
};
