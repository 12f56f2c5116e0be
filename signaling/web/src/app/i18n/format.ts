// Plurals, numbers and capitals of one language, for its catalogue.

/** The forms of CLDR that a language has; "other" is always one of them. */
export type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

/** `plural(2, { one: '1 file', other: '2 files' })` selects the form for the number. */
export function pluralOf(locale: string): (count: number, forms: Forms) => string {
  const rules = new Intl.PluralRules(locale);
  return (count, forms) => forms[rules.select(count)] ?? forms.other;
}

/** `number(1234.5, 1)` with this many digits after the decimal sign: "1,234.5" in English, "1.234,5" in German. */
export function numberOf(locale: string): (value: number, digits?: number) => string {
  const formats = new Map<number, Intl.NumberFormat>();
  return (value, digits = 0) => {
    let format = formats.get(digits);
    if (!format) {
      format = new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
      formats.set(digits, format);
    }
    return format.format(value);
  };
}

/** The first letter large: "your camera" at the start of a sentence. */
export function capital(text: string): string {
  const [first = '', ...rest] = text;
  return first.toLocaleUpperCase() + rest.join('');
}
