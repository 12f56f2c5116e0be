// The links in a text that another person wrote. Pure.

export interface TextPart {
  text: string;
  /** Null: plain text. */
  href: string | null;
}

const LINK = /\bhttps?:\/\/[^\s<>"'`\\]+/giu;
/** Punctuation after a link belongs to the sentence. */
const TRAILING = /[.,;:!?)\]}]+$/u;

/** The text in parts. Only addresses with http and https are links; what is shown is what was written. */
export function partsOf(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const written = found.replace(closesNothing(found) ? TRAILING : /[.,;:!?]+$/u, '');
    const href = addressOf(written);
    if (!href) continue;
    if (index > end) parts.push({ text: text.slice(end, index), href: null });
    parts.push({ text: written, href });
    end = index + written.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), href: null });
  return parts;
}

/** `https://en.wikipedia.org/wiki/Leat_(water)` keeps its bracket. */
function closesNothing(link: string): boolean {
  return !link.includes('(');
}

function addressOf(text: string): string | null {
  try {
    const { href, protocol, hostname, username } = new URL(text);
    // A user name before the host makes an address look like that of another host.
    return (protocol === 'http:' || protocol === 'https:') && hostname !== '' && username === '' ? href : null;
  } catch {
    return null;
  }
}
