// The language, the colours and the shortcuts of the app, in a dialog behind a button.

import { useRef } from 'react';
import { type Theme, useSettings } from '../../stores/useSettings';
import { catalogues, useLanguage, useT } from '../i18n';
import { Icon } from './Icon';

const THEMES: readonly Theme[] = ['system', 'dark', 'light'];

export function Preferences() {
  const t = useT();
  const language = useLanguage();
  const theme = useSettings((state) => state.theme);
  const shortcuts = useSettings((state) => state.shortcuts);
  const { setLanguage, setTheme, setShortcuts } = useSettings.getState();
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button
        type="button"
        className="plain preferences"
        aria-label={t.settings.title}
        aria-haspopup="dialog"
        title={t.settings.title}
        onClick={() => dialog.current?.showModal()}
      >
        <Icon name="preferences" />
      </button>
      <dialog ref={dialog} className="dialog" aria-label={t.settings.title}>
        <h2>{t.settings.title}</h2>
        <label>
          <span>{t.settings.language}</span>
          <select name="language" value={language} onChange={(event) => setLanguage(event.target.value)}>
            {Object.entries(catalogues).map(([code, { language: name }]) => (
              <option key={code} value={code} lang={code}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span>{t.settings.theme}</span>
          <select name="theme" value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
            {THEMES.map((choice) => (
              <option key={choice} value={choice}>
                {t.settings.themes[choice]}
              </option>
            ))}
          </select>
        </label>
        <button type="button" role="switch" aria-checked={shortcuts} className="switch" onClick={() => setShortcuts(!shortcuts)}>
          {t.settings.shortcuts}
        </button>
        <p className="actions">
          <button type="button" className="action" onClick={() => dialog.current?.close()}>
            {t.common.close}
          </button>
        </p>
      </dialog>
    </>
  );
}
