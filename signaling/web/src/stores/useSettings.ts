// What the user chose for this browser: the language, the theme, and whether keys are shortcuts. Saved in the browser's storage.

import { create } from 'zustand';
import { save, saved } from './storage';

/** "system" follows the browser. */
export type Theme = 'system' | 'dark' | 'light';

const THEMES: readonly string[] = ['system', 'dark', 'light'];
const KEYS = { language: 'leat.language', theme: 'leat.theme', shortcuts: 'leat.shortcuts' };

export interface Settings {
  /** The wanted languages (BCP 47), the most wanted first: `?lang=` of the address, the saved choice, those of the browser. */
  languages: readonly string[];
  theme: Theme;
  /** Single letters act (WCAG 2.1.4: speech input can press them by accident). */
  shortcuts: boolean;
  setLanguage(language: string): void;
  setTheme(theme: Theme): void;
  setShortcuts(shortcuts: boolean): void;
}

/** The parts of a page that settings are read from. */
export interface SettingsPage {
  search: string;
  languages: readonly string[];
  saved: (key: string) => string | null;
}

export function readSettings({ search, languages, saved }: SettingsPage): Pick<Settings, 'languages' | 'theme' | 'shortcuts'> {
  const wanted = [new URLSearchParams(search).get('lang'), saved(KEYS.language), ...languages];
  const theme = saved(KEYS.theme) ?? '';
  return {
    languages: wanted.flatMap((language) => (language ? [language] : [])),
    theme: THEMES.includes(theme) ? (theme as Theme) : 'system',
    shortcuts: saved(KEYS.shortcuts) !== 'off',
  };
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
  setShortcuts: (shortcuts) => {
    save(KEYS.shortcuts, shortcuts ? 'on' : 'off');
    set({ shortcuts });
  },
}));
