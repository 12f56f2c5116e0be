import { useLayout } from '../../stores/useLayout';
import { useSettings } from '../../stores/useSettings';
import { useT } from '../i18n';
import { Icon } from './Icon';

/** Between the grid and a large picture of the person who speaks. */
export function LayoutSwitch() {
  const t = useT();
  const mode = useLayout((state) => state.mode);
  const setMode = useLayout((state) => state.setMode);
  const shortcut = useSettings(({ shortcuts }) => (shortcuts ? 'L' : undefined));
  const isGrid = mode === 'grid';
  const text = isGrid ? t.layout.toSpeaker : t.layout.toGrid;
  return (
    <button
      type="button"
      className="plain"
      aria-label={text}
      aria-keyshortcuts={shortcut}
      title={shortcut ? `${text} (${shortcut})` : text}
      onClick={() => setMode(isGrid ? 'speaker' : 'grid')}
    >
      <Icon name={isGrid ? 'speakerLayout' : 'gridLayout'} />
    </button>
  );
}
