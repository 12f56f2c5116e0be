// The texts of the app in the language of the user: `useT()` in components, `t()` elsewhere.
//
// A catalogue is an object with the same keys in each language, which the compiler checks: texts, and functions
// for texts with parameters. How to add a language: docs/languages.md.

import { useSettings } from '../../stores/useSettings';
import { de } from './de';
import { en, type Messages } from './en';

export type { Messages };

export const catalogues = { en, de } satisfies Record<string, Messages>;
export type Language = keyof typeof catalogues;

/** The first wanted language that has a catalogue; "de-AT" is served by "de". English if there is none. */
export function selectLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const primary = tag.toLowerCase().split('-')[0] ?? '';
    if (Object.hasOwn(catalogues, primary)) return primary as Language;
  }
  return 'en';
}

export function t(): Messages {
  return catalogues[selectLanguage(useSettings.getState().languages)];
}

export function useLanguage(): Language {
  return useSettings((state) => selectLanguage(state.languages));
}

/** Draws the component again when the user selects another language. */
export function useT(): Messages {
  return catalogues[useLanguage()];
}
