// The texts in English. This catalogue defines the keys of all others. Sections and their keys follow the components.

import type { CallNotice, NoticeCode } from '../../sdk';
import { check } from './check_en';
import { devices } from './devices_en';
import { capital, numberOf, pluralOf } from './format';

const plural = pluralOf('en');
const number = numberOf('en');

/** Sources by name. An application can add others, which are called by their name. */
const sources: Record<string, { name: string; your: string }> = {
  microphone: { name: 'microphone', your: 'your microphone' },
  camera: { name: 'camera', your: 'your camera' },
  screen: { name: 'screen', your: 'your screen' },
};
const nameOf = (source: string) => sources[source]?.name ?? source;
const yourOf = (source: string) => sources[source]?.your ?? `your ${source}`;

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
    title: 'Language and display',
    shortcuts: 'Single letters are shortcuts',
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
    skip: 'Go to the controls',
    locked: 'The room is locked',
    lockedHint: 'The room is locked: only administrators may join',
    alone: 'You are the first one here.',
    inWaitingRoom: 'You are in the waiting room. An administrator has to admit you.',
    linkCopied: 'Link copied.',
    linkCopiedToSend: 'Link copied. Send it to the people you want to invite.',
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

  join: {
    title: 'Join a room',
    lead: 'Everyone who enters the same room name meets here.',
    preview: 'Your camera and microphone',
    cameraStarts: 'Starting camera…',
    cameraIsOff: 'Camera is off',
    room: 'Room',
    roomHint: 'Letters, digits, dots, dashes and underscores',
    roomExample: 'millpond',
    name: 'Your name',
    nameExample: 'Ada',
    token: 'Token',
    tokenHint: 'From the operator of the server',
    haveToken: 'I have a token',
    join: 'Join',
  },

  check,
  devices,

  tile: {
    screen: (name: string) => `${name}'s screen`,
    self: (name: string) => `${name} (you)`,
    muted: 'muted',
    starved: 'paused: slow connection',
    weak: 'weak connection',
  },

  quality: { good: 'connection: good', fair: 'connection: fair', poor: 'connection: poor' },

  people: {
    panel: 'Participants',
    title: 'Who is here',
    you: 'you',
    host: 'host',
    microphoneOn: 'microphone on',
    microphoneOff: 'microphone off',
    cameraOn: 'camera on',
    cameraOff: 'camera off',
    reconnecting: 'reconnecting',
    sharing: 'sharing a screen',
    presence: { idle: 'idle', away: 'away' },
  },

  admin: {
    mute: 'Mute',
    mutePerson: (name: string) => `Mute ${name}`,
    allowUnmute: 'Allow unmute',
    allowUnmutePerson: (name: string) => `Allow unmute for ${name}`,
    remove: 'Remove',
    removePerson: (name: string) => `Remove ${name}`,
    removeQuestion: (name: string) => `Remove ${name}?`,
    removeConfirmed: (name: string) => `Yes, remove ${name}`,
    keep: 'Keep',
    keepPerson: (name: string) => `Keep ${name}`,
    waitingRoom: 'Waiting room',
    waiting: 'Waiting to be admitted',
    admit: 'Admit',
    admitPerson: (name: string) => `Admit ${name}`,
    deny: 'Deny',
    denyPerson: (name: string) => `Deny ${name}`,
    ban: 'Ban',
    banPerson: (name: string) => `Ban ${name}`,
    banQuestion: (name: string) => `Ban ${name}? For how long?`,
    banTimes: { call: 'Until the call ends', hour: 'For an hour' },
    banConfirmed: (name: string, time: string) => `Yes, ban ${name}: ${time}`,
    bans: (count: number) => plural(count, { one: '1 person is banned', other: `${number(count)} people are banned` }),
    clearBans: 'End all bans',
    makeHost: 'Make host',
    makeHostPerson: (name: string) => `Make host: ${name}`,
    hostQuestion: (name: string) => `Make ${name} a host?`,
    hostToo: 'Yes',
    hostTooPerson: (name: string) => `Yes, make ${name} a host`,
    handOver: 'Yes, and I am none any more',
    handOverTo: (name: string) => `Yes, and I am none any more: hand the role over to ${name}`,
    endHost: 'End host role',
    endHostOf: (name: string) => `End host role of ${name}`,
    cancel: 'Cancel',
    endForAll: 'End the call for all',
    endQuestion: 'End the call for all participants?',
    end: 'End',
    endConfirmed: 'Yes, end the call for all',
    settings: 'Room settings',
    lock: 'Lock the room',
    encrypt: 'End-to-end encryption',
  },

  chat: {
    title: 'Chat',
    unread: (count: number) => `Chat (${number(count)} new)`,
    empty: 'No messages yet. They are kept for this call only, and people who join later do not get them.',
    messages: 'Messages',
    to: 'To',
    everyone: 'everyone',
    left: 'a person who left',
    receiverLeft: 'This person has left. Select another receiver.',
    message: 'Message',
    send: 'Send',
    onlyTo: (name: string) => `to ${name} only`,
    onlyToYou: 'to you only',
    tooLong: (length: number, max: number) =>
      `The message has ${number(length)} characters. At most ${number(max)} are possible: make it shorter.`,
    length: (length: number, max: number) => `${number(length)} of ${number(max)} characters`,
    failed: (reason: string) => `Not sent: ${reason}`,
    retry: 'Send again',
  },

  conversation: {
    raiseHand: 'Raise hand',
    lowerHand: 'Lower hand',
    handRaised: (place: number) => `hand raised, number ${number(place)}`,
    react: 'React',
    reactions: 'Reactions',
    reactWith: (emoji: string) => `React with ${emoji}`,
  },

  layout: {
    toSpeaker: 'Show who speaks in large',
    toGrid: 'Show all at the same size',
    pin: (name: string) => `Pin ${name}`,
    unpin: (name: string) => `Unpin ${name}`,
    pages: 'Pages of participants',
    page: (page: number, pages: number) => `${number(page)} of ${number(pages)}`,
    previousPage: 'Previous page',
    nextPage: 'Next page',
  },

  encryption: {
    title: (name: string) => `Encryption with ${name}`,
    states: { encrypted: 'end-to-end encrypted', waitingForKey: 'waiting for the key', wrongKey: 'wrong key' },
    trust: { verified: 'verified', changed: 'key changed' },
    wrongKey: (name: string) => `What arrives from ${name} was not encrypted with the key of ${name}, so it is not shown.`,
    noKey: (name: string) =>
      `No key of ${name} has arrived yet, or ${name} does not encrypt. Nothing of ${name} is shown until then.`,
    verified: 'You have compared this number with this person before.',
    changed: (name: string) => `${name} has another number than before: another device, a new browser, or another person.`,
    compare: 'Read the number to each other. If it is the same for both, only the two of you have the keys.',
    numbersAreEqual: 'The numbers are the same',
  },

  statistics: {
    values: {
      bitRate: 'Bit rate',
      packetLoss: 'Packet loss',
      jitter: 'Jitter',
      roundTrip: 'Round trip',
      opinionScore: 'Opinion score',
      freezes: 'Freezes',
    },
    plot: (name: string, now: string) => `${name} over two minutes, now ${now}`,
    own: (source: string) => capital(yourOf(source)),
    of: (name: string, source: string) => `${name}: ${nameOf(source)}`,
    nothing: 'Nothing is measured yet.',
  },

  files: {
    send: 'Send files',
    to: 'To',
    everyone: 'everyone',
    left: 'a person who left',
    drop: 'Drop files here, or choose them',
    steps: {
      cancel: 'Cancel',
      accept: 'Accept',
      decline: 'Decline',
      pause: 'Pause',
      resume: 'Resume',
      save: 'Save',
      remove: 'Remove',
    },
    /** The accessible name of a button for one file. */
    stepOf: (step: string, file: string) => `${step} ${file}`,
    progressOf: (file: string) => `Progress of ${file}`,
    about: (time: string) => `about ${time}`,
    progress: (bytes: string, size: string) => `${bytes} of ${size}`,
    states: {
      send: {
        offered: (to: string) => `Offered to ${to}`,
        active: (to: string) => `To ${to}`,
        paused: (to: string) => `To ${to}, paused`,
        done: (to: string) => `Sent to ${to}`,
        declined: (to: string) => `Declined by ${to}`,
        cancelled: (to: string) => `Cancelled, to ${to}`,
        failed: (to: string) => `Failed, to ${to}`,
      },
      receive: {
        offered: (from: string) => `${from} offers this file`,
        active: (from: string) => `From ${from}`,
        paused: (from: string) => `From ${from}, paused`,
        done: (from: string) => `Received from ${from}`,
        declined: (from: string) => `Declined, from ${from}`,
        cancelled: (from: string) => `Cancelled, from ${from}`,
        failed: (from: string) => `Failed, from ${from}`,
      },
    },
    /** Of a file to the room: why some do not have it. */
    without: { offered: 'no answer yet', declined: 'declined', cancelled: 'cancelled', failed: 'failed' },
    haveIt: (done: number, all: number) => `${number(done)} of ${number(all)} have it`,
    /** By `FileErrorCode`: why a transfer failed. */
    errors: {
      send: {
        QUOTA: 'The other person has too many open files from you. Try again when some of them are finished.',
        TOO_LARGE: 'The file is larger than the other side accepts.',
        UNKNOWN_TRANSFER: 'The other side does not have this transfer any more. Send the file again.',
        PROTOCOL: 'The other side sent a message that is not valid.',
        STORAGE: 'The other side could not store the file.',
        SOURCE: 'The file could not be read. It may have changed or moved; select it again.',
        WRONG_HASH: 'The file arrived with other bytes than it was sent with. Send it again.',
        CORRUPT: 'Parts of the file arrived damaged again and again.',
        TIMEOUT: 'The other side did not answer.',
        PEER_LEFT: 'The other person left the room.',
      },
      receive: {
        QUOTA: 'This person sent too many files at once.',
        TOO_LARGE: 'The file is too large.',
        UNKNOWN_TRANSFER: 'The sender does not have this transfer any more. Ask for the file again.',
        PROTOCOL: 'The sender sent a message that is not valid.',
        STORAGE: 'The file could not be stored. Free some space, then ask for the file again.',
        SOURCE: 'The sender could not read the file.',
        WRONG_HASH: 'The file arrived with other bytes than it was sent with, and was deleted. Ask for it again.',
        CORRUPT: 'Parts of the file arrived damaged again and again.',
        TIMEOUT: 'The sender did not answer.',
        PEER_LEFT: 'The sender left the room.',
      },
    },
  },

  notices: {
    waiting: (name: string) => `${name} waits to be admitted.`,
    fileOffered: (name: string | null, file: string) =>
      `${name ?? 'A participant'} offers you the file ${file}. Open the files to accept it.`,
    notDone: (reason: string) => `Not done: ${reason}`,
    devicesAsked:
      'Your browser asks whether this page may use camera and microphone. You are in the call; answer to be seen and heard.',
    /** By `NoticeCode`. */
    call: {
      SOURCE_STOPPED: ({ source = '' }) => `${capital(yourOf(source))} stopped.`,
      MUTED: ({ source = '' }) => `An administrator muted ${yourOf(source)}.`,
      MAY_UNMUTE: ({ source = '' }) => `You may unmute ${yourOf(source)} again.`,
      ONLY_ADMINISTRATORS_SEND: () => 'Only administrators may send in this room.',
      MAY_NOT_SEND: ({ source = '' }) => `You may not send ${yourOf(source)} in this room.`,
      SOURCE_REFUSED: ({ source = '' }) => `The server does not accept ${yourOf(source)}.`,
      SUBSCRIBERS_REFUSED: ({ source = '' }) => `The server does not accept who may receive ${yourOf(source)}.`,
      MAY_NOT_RECEIVE: () => 'You may not see and hear the others in this room.',
      CANNOT_PLAY: ({ source = 'stream', name = 'a participant' }) =>
        `This browser cannot play the ${nameOf(source)} of ${name}.`,
      CHANNELS_UNAVAILABLE: () => 'Files and data of some participants cannot be received here.',
      STILL_TRYING: ({ reason = '' }) => `${reason} Still trying.`,
      KEY_CHANGED: ({ name = '' }) =>
        `The security key of ${name} has changed. Compare the safety number before you trust this call.`,
    } satisfies Record<NoticeCode, (notice: CallNotice) => string>,
  },

  /** By the code of a `Failure`: why the call ended or an action was refused, with the reason of the server. */
  failures: {
    EVICTED: (reason: string) => `You are no longer in the call: ${reason}.`,
    NOT_ADMITTED: (reason: string) => `You could not join: ${reason}.`,
    ROOM_LOCKED: () => 'This room is locked: only administrators may join now.',
    BANNED: (reason: string) => `You may not join this room: ${reason}.`,
    ROOM_FULL: () => 'This room is full. Try again when a person has left.',
    LIMIT: (reason: string) => `A limit of the server was reached: ${reason}.`,
    TOKEN_MISSING: () => 'This server needs a token. Get one from its operator.',
    TOKEN_MALFORMED: (reason: string) => `This is not a token: ${reason}.`,
    TOKEN_ALGORITHM: (reason: string) => `The server does not accept the token: ${reason}.`,
    TOKEN_SIGNATURE: () => 'The signature of the token is wrong. Copy the whole token again.',
    TOKEN_EXPIRED: () => 'The token has expired. Get a new one.',
    TOKEN_NOT_YET_VALID: () => 'The token is not valid yet. Compare the clocks of its issuer and of this server.',
    TOKEN_ROOM: () => 'The token is for another room.',
    TOKEN_PERMISSION: (reason: string) => `The token does not permit this: ${reason}.`,
    TOKEN_KEY: (reason: string) => `The server does not know the key of the token: ${reason}.`,
    TOKEN_AUDIENCE: (reason: string) => `The token is for another server: ${reason}.`,
    TOKEN_REVOKED: () => 'The token was revoked. Get a new one.',
    UNSUPPORTED_VERSION: () => 'This page does not match the server. Reload it.',
    ENCRYPTION_UNAVAILABLE: (reason: string) => `This room is encrypted end to end, which is not possible here: ${reason}.`,
    DRAINING: () => 'The server is shutting down. Try again in a moment.',
    STORE_UNAVAILABLE: () => 'The server has no connection to its database. Try again in a moment.',
    ENGINE_UNAVAILABLE: () => 'The media server is not available. Try again in a moment.',
    INTERNAL: () => 'The server has an internal error. Its log has the cause.',
    PERMISSION_DENIED: (reason: string) => `${reason}.`,
    CLOSED: (reason: string) => `${reason}.`,
    FILE_TOO_LARGE: () => 'The file is too large.',
    NO_RECEIVER: () => 'No other person is in the room.',
    SIGNALING_LOST: () => 'The connection to the server was lost.',
  },

  whip: {
    title: 'WHIP and WHEP',
    lead: 'Publish this camera and microphone to a room, or play a room.',
    picture: 'Picture',
    noPicture: 'No picture',
    name: 'Name',
    nameExample: 'Camera 1',
    token: 'Token or stream key',
    publishedCodec: 'Codec of the published video',
    anyCodec: 'Selected by the server',
    publish: 'Publish',
    play: 'Play',
    stop: 'Stop',
    stream: 'Stream',
    codec: 'Codec',
    layer: 'Layer',
    count: 'Frames or packets',
    streams: {
      sent: { audio: 'audio sent', video: 'video sent' },
      received: { audio: 'audio received', video: 'video received' },
    },
    states: {
      idle: 'Not connected.',
      connecting: 'Connecting…',
      waiting: 'Waiting for a publisher.',
      publishing: 'Publishing.',
      playing: 'Playing.',
      failed: 'Failed.',
    },
  },
};

export type Messages = typeof en;
