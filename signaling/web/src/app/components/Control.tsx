import { useSettings } from '../../stores/useSettings';
import { Icon, type IconName } from './Icon';

interface ControlProps {
  icon: IconName;
  label: string;
  shortcut?: string;
  tone?: 'off' | 'on' | 'danger';
  pressed?: boolean;
  badge?: number;
  /** The badge has a colour that draws attention. */
  alert?: boolean;
  onClick(): void;
}

/** A round button of the bar at the bottom. */
export function Control({ icon, label, shortcut: letter, tone, pressed, badge, alert, onClick }: ControlProps) {
  const shortcut = useSettings((state) => (state.shortcuts ? letter : undefined));
  return (
    <button
      type="button"
      className={`control ${tone ?? ''}`}
      aria-label={label}
      aria-pressed={pressed}
      aria-keyshortcuts={shortcut}
      title={shortcut ? `${label} (${shortcut})` : label}
      onClick={onClick}
    >
      <Icon name={icon} />
      {badge !== undefined && (
        // Drawn by the style sheet: as a text it would be a part of the label that the accessible name does not have.
        <span className={`badge ${alert ? 'alert' : ''}`} data-count={badge} aria-hidden="true" />
      )}
    </button>
  );
}
