// Initials and colour of a person without a picture.

/** One or two letters: "Ada Lovelace" → "AL". By code point, so that no letter of any script is split. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words.slice(0, 1);
  return picked.map((word) => [...(word ?? '')][0]?.toLocaleUpperCase() ?? '').join('') || '·';
}

/** The same hue for the same person on every screen, 0 to 359. */
export function hue(id: string): number {
  let hash = 0;
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x9e3779b1);
  return (hash >>> 16) % 360;
}
