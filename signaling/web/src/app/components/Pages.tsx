import { useLayout } from '../../stores/useLayout';
import { useT } from '../i18n';
import { Icon } from './Icon';

/** To the other pages of tiles. */
export function Pages({ page, pages }: { page: number; pages: number }) {
  const t = useT();
  const setPage = useLayout((state) => state.setPage);
  return (
    <nav className="pages" aria-label={t.layout.pages}>
      <button
        type="button"
        className="plain"
        aria-label={t.layout.previousPage}
        disabled={page === 0}
        onClick={() => setPage(page - 1)}
      >
        <Icon name="previous" />
      </button>
      <span aria-live="polite">{t.layout.page(page + 1, pages)}</span>
      <button
        type="button"
        className="plain"
        aria-label={t.layout.nextPage}
        disabled={page === pages - 1}
        onClick={() => setPage(page + 1)}
      >
        <Icon name="next" />
      </button>
    </nav>
  );
}
