// What the user chose for this browser: the language and the theme. Saved in the browser's storage.

import { create } from 'zustand';

/** "system" follows the browser. */
export type Theme = 'system' | 'dark' | 'light';

const THEMES: readonly string[] = ['system', 'dark', 'light'];
const KEYS = { language: 'leat.language', theme: 'leat.theme' };

export interface Settings {
  /** The wanted languages (BCP 47), the most wanted first: `?lang=` of the address, the saved choice, those of the browser. */
  languages: readonly string[];
  theme: Theme;
  setLanguage(language: string): void;
  setTheme(theme: Theme): void;
}

/** The parts of a page that settings are read from. */
export interface SettingsPage {
  search: string;
  languages: readonly string[];
  saved: (key: string) => string | null;
}

export function readSettings({ search, languages, saved }: SettingsPage): Pick<Settings, 'languages' | 'theme'> {
  const wanted = [new URLSearchParams(search).get('lang'), saved(KEYS.language), ...languages];
  const theme = saved(KEYS.theme) ?? '';
  return {
    languages: wanted.flatMap((language) => (language ? [language] : [])),
    theme: THEMES.includes(theme) ? (theme as Theme) : 'system',
  };
}

/** The storage throws where the user has switched it off: a choice then lasts until the page is closed. */
function saved(key: string): string | null {
  try {
    return globalThis.localStorage?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

function save(key: string, value: string): void {
  try {
    globalThis.localStorage?.setItem(key, value);
  } catch {
    // As in `saved`.
  }
}

export const useSettings = create<Settings>()((set) => ({
  ...readSettings({
    search: globalThis.location?.search ?? '',
    languages: globalThis.window?.navigator.languages ?? [],
    saved,
  }),
  setLanguage: (language) => {
    save(KEYS.language, language);
    set(({ languages }) => ({ languages: [language, ...languages.filter((other) => other !== language)] }));
  },
  setTheme: (theme) => {
    save(KEYS.theme, theme);
    set({ theme });
  },
}));
