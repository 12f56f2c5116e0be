import { useSyncExternalStore } from 'react';

/** As in narrow.css: a panel lies over the pictures. */
export const NARROW = '(max-width: 760px)';

/** Whether the window matches, now and after each change. */
export function useMediaQuery(query: string): boolean {
  return useSyncExternalStore(
    (onChange) => {
      const list = window.matchMedia(query);
      list.addEventListener('change', onChange);
      return () => list.removeEventListener('change', onChange);
    },
    () => window.matchMedia(query).matches,
  );
}
