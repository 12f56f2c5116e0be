// Short messages for the user. The app has the words: a message is stored as what it is about, so that it is shown in
// the language that the user selects.

import type { CallNotice } from '../sdk';
import type { Failure } from './failure';

export type NoticeContent =
  /** A text that is in the language of the user already, or that another program has written. */
  | string
  | { about: 'call'; notice: CallNotice }
  /** A client waits to be admitted. */
  | { about: 'waiting'; name: string }
  /** `name` is null if the sender has left. */
  | { about: 'fileOffered'; name: string | null; file: string }
  /** An action of the user was refused. */
  | { about: 'failure'; failure: Failure }
  /** A request of an administrator was refused. */
  | { about: 'notDone'; reason: string }
  /** The browser asks the user for the permission for camera and microphone. */
  | { about: 'devicesAsked' };

export interface Notice {
  id: number;
  content: NoticeContent;
}
