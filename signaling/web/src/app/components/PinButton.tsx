import { useLayout } from '../../stores/useLayout';
import { useT } from '../i18n';
import { Icon } from './Icon';

/** Makes a tile large, or small again. */
export function PinButton({ tileId, label }: { tileId: string; label: string }) {
  const t = useT();
  const isPinned = useLayout(({ pins }) => pins.has(tileId));
  const togglePin = useLayout((state) => state.togglePin);
  const text = isPinned ? t.layout.unpin(label) : t.layout.pin(label);
  return (
    <button
      type="button"
      className="pin"
      aria-pressed={isPinned}
      aria-label={text}
      title={text}
      onClick={() => togglePin(tileId)}
    >
      <Icon name="pin" />
    </button>
  );
}
