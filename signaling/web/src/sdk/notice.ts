// What a call informs its user of, as a closed list. An application has its own words for each code; `noticeText` has
// English ones. Pure.

/** The code of a notice. */
export type NoticeCode =
  /** The device of a source stopped. */
  | 'SOURCE_STOPPED'
  /** An administrator muted a source. */
  | 'MUTED'
  | 'MAY_UNMUTE'
  | 'ONLY_ADMINISTRATORS_SEND'
  | 'MAY_NOT_SEND'
  | 'SOURCE_REFUSED'
  | 'SUBSCRIBERS_REFUSED'
  | 'MAY_NOT_RECEIVE'
  /** The browser does not have the codec of a source. */
  | 'CANNOT_PLAY'
  | 'CHANNELS_UNAVAILABLE'
  /** No media path could be opened yet. */
  | 'STILL_TRYING'
  /** The identity key of a user is another one than before. */
  | 'KEY_CHANGED';

/** A notice for the user, as a code with its details: an application can write its own text. */
export interface CallNotice {
  code: NoticeCode;
  /** The source that it is about, by name. */
  source?: string;
  /** The participant that it is about, or the user for KEY_CHANGED. */
  name?: string;
  /** The cause of STILL_TRYING. */
  reason?: string;
}

/** The English text of a notice. */
export function noticeText({ code, source = 'stream', name = 'a participant', reason = '' }: CallNotice): string {
  switch (code) {
    case 'SOURCE_STOPPED':
      return `Your ${source} stopped.`;
    case 'MUTED':
      return `An administrator muted your ${source}.`;
    case 'MAY_UNMUTE':
      return `You may unmute your ${source} again.`;
    case 'ONLY_ADMINISTRATORS_SEND':
      return 'Only administrators may send in this room.';
    case 'MAY_NOT_SEND':
      return `You may not send your ${source} in this room.`;
    case 'SOURCE_REFUSED':
      return `The server does not accept your ${source}.`;
    case 'SUBSCRIBERS_REFUSED':
      return `The server does not accept who may receive your ${source}.`;
    case 'MAY_NOT_RECEIVE':
      return 'You may not see and hear the others in this room.';
    case 'CANNOT_PLAY':
      return `This browser cannot play the ${source} of ${name}.`;
    case 'CHANNELS_UNAVAILABLE':
      return 'Files and data of some participants cannot be received here.';
    case 'STILL_TRYING':
      return `${reason} Still trying.`;
    case 'KEY_CHANGED':
      return `The security key of ${name} has changed. Compare the safety number before you trust this call.`;
  }
}
