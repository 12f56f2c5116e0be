import type { QualityLevel } from '../../sdk';
import { useT } from '../i18n';

const bars: Record<QualityLevel, number> = { good: 3, fair: 2, poor: 1 };

/** Three bars for the quality of a connection. */
export function Quality({ level }: { level: QualityLevel }) {
  const t = useT();
  const label = t.quality[level];
  return (
    <svg className={`quality ${level}`} viewBox="0 0 15 12" role="img" aria-label={label} data-quality={level}>
      <title>{label}</title>
      {[0, 1, 2].map((bar) => (
        <rect key={bar} x={5 * bar + 1} y={8 - 4 * bar} width="3" height={4 + 4 * bar} data-on={bar < bars[level]} />
      ))}
    </svg>
  );
}
