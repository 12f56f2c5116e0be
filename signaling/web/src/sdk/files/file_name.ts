// The name of a file that another person chose, made safe to show and to store. Pure.

import { NAME_BYTES_MAX } from './limits';

/** Controls, line separators, lone surrogates, and format characters such as the bidirectional overrides. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** Zero-width joiner and non-joiner are format characters too, but scripts and emoji need them. */
const JOINERS = /^[\u200c\u200d]$/;
/** Separators of paths, and what Windows does not allow in names. */
const FORBIDDEN = /[/\\<>:"|?*\u2044\u2215\u29f8\uff0f\uff3c]/g;
/** Devices of Windows, with any extension. */
const RESERVED = /^(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(\.|$)/i;
/** An extension up to this length survives when the name is cut. */
const EXTENSION_BYTES_MAX = 20;

/** A name without path, invisible characters and names that a system reserves; never empty. */
export function safeFileName(name: string): string {
  // A name of any length may arrive: what follows is bounded.
  const clean = name
    .slice(0, 4 * NAME_BYTES_MAX)
    .replace(INVISIBLE, (character) => (JOINERS.test(character) ? character : ''))
    .normalize('NFC')
    .replace(FORBIDDEN, '_')
    .trim()
    .replace(/^\.+/, '_');
  const open = withoutEnd(clean);
  const free = RESERVED.test(open) ? `_${open}` : open;
  return withoutEnd(cut(free)) || 'file';
}

/** A MIME type without parameters; empty if it is none. */
export function safeFileType(type: string): string {
  return /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i.test(type) ? type.toLowerCase() : '';
}

/** Windows removes dots and spaces from the end. */
function withoutEnd(name: string): string {
  return name.replace(/[.\s]+$/, '');
}

function cut(name: string): string {
  if (bytesOf(name) <= NAME_BYTES_MAX) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && bytesOf(name.slice(dot)) <= EXTENSION_BYTES_MAX ? name.slice(dot) : '';
  let kept = '';
  let left = NAME_BYTES_MAX - bytesOf(extension);
  for (const character of name.slice(0, name.length - extension.length)) {
    left -= bytesOf(character);
    if (left < 0) break;
    kept += character;
  }
  return kept + extension;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
