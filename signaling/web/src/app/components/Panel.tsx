// A panel beside the pictures: its title, a button to close it, and the focus. A window that is too narrow for both has
// the panel over the pictures.

import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef } from 'react';
import { useT } from '../i18n';
import { Icon } from './Icon';

interface PanelProps {
  /** The accessible name; the title if there is none. */
  label?: string;
  title: string;
  className?: string;
  onClose(): void;
  children: ReactNode;
}

/** The focus moves into the panel when it opens, and back to where it was when it closes. */
function useFocus() {
  const title = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    title.current?.focus();
    return () => {
      // The user may have moved the focus elsewhere. The focused element of a removed panel is the body.
      const isLost =
        document.activeElement === document.body || title.current?.closest('aside')?.contains(document.activeElement);
      if (isLost && before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return title;
}

export function Panel({ label, title, className = '', onClose, children }: PanelProps) {
  const t = useT();
  const heading = useFocus();
  const onKeyDown = (event: KeyboardEvent) => {
    // The Escape of a dialog in the panel closes the dialog only.
    if (event.key !== 'Escape' || (event.target as Element).closest('dialog')) return;
    event.stopPropagation();
    onClose();
  };
  return (
    <aside className={`people ${className}`} aria-label={label ?? title} onKeyDown={onKeyDown}>
      <header>
        <h2 ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" className="plain" aria-label={t.common.close} onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </aside>
  );
}
