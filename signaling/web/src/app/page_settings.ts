// What the settings change outside the components: the language and the colours of the page.

import { useSettings } from '../stores/useSettings';
import { selectLanguage } from './i18n';

function apply(page: Document): void {
  const { languages, theme } = useSettings.getState();
  page.documentElement.lang = selectLanguage(languages);
  // `theme.css` follows the browser for "system".
  page.documentElement.dataset.theme = theme;
}

/** Applies the settings now and after each change, until the returned function is called. */
export function followSettings(page: Document): () => void {
  apply(page);
  return useSettings.subscribe(() => apply(page));
}
