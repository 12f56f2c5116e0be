// The texts of notices and of failures. Pure.

import type { Failure } from '../stores/failure';
import type { NoticeContent } from '../stores/notices';
import type { Messages } from './i18n';

export function noticeText(t: Messages, content: NoticeContent): string {
  const { notices } = t;
  if (typeof content === 'string') return content;
  switch (content.about) {
    case 'call':
      return notices.call[content.notice.code](content.notice);
    case 'failure':
      return failureText(t, content.failure);
    case 'waiting':
      return notices.waiting(content.name);
    case 'fileOffered':
      return notices.fileOffered(content.name, content.file);
    case 'notDone':
      return notices.notDone(content.reason);
    case 'devicesAsked':
      return notices.devicesAsked;
  }
}

/** The sentence for the code; the reason itself for a code without one. */
export function failureText({ failures }: Messages, { code, reason }: Failure): string {
  const texts: Record<string, (reason: string) => string> = failures;
  // The server writes clauses: without a capital and a full stop.
  return Object.hasOwn(texts, code) ? (texts[code]?.(reason.replace(/\.$/, '')) ?? reason) : reason;
}
