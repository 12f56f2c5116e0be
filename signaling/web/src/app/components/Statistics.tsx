// The statistics of each source: its last values, and plots of two minutes.

import type { CallView, Measurement } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { PLOT, points, topOf } from '../plot';
import { Icon } from './Icon';
import { Quality } from './Quality';

/** As many measurements as a series has at most. */
const SERIES_LEN = 60;

interface Value {
  name: string;
  /** Null: not known, or not of this kind of source. */
  of(measurement: Measurement): number | null;
  show(value: number): string;
  /** The plot shows at least this range. */
  least: number;
}

const values: readonly Value[] = [
  { name: 'Bit rate', of: ({ bitrateBps }) => bitrateBps / 1_000, show: (kbps) => `${kbps.toFixed(0)} kbit/s`, least: 100 },
  { name: 'Packet loss', of: ({ packetLoss }) => 100 * packetLoss, show: (share) => `${share.toFixed(1)} %`, least: 10 },
  { name: 'Jitter', of: ({ jitterMs }) => jitterMs, show: (ms) => `${ms.toFixed(0)} ms`, least: 50 },
  { name: 'Round trip', of: ({ rttMs }) => rttMs, show: (ms) => `${ms.toFixed(0)} ms`, least: 200 },
  { name: 'Opinion score', of: ({ mos }) => mos, show: (mos) => mos.toFixed(1), least: 4.5 },
];

/** Of received video, which has no opinion score. */
const freezes: Value = { name: 'Freezes', of: ({ freezes }) => freezes, show: (count) => String(count), least: 4 };

function Row({ value, series }: { value: Value; series: readonly Measurement[] }) {
  const known = series.map(value.of).filter((number) => number !== null);
  const last = known.at(-1);
  if (last === undefined) return null;
  const text = value.show(last);
  return (
    <li className="measure">
      <span className="note">{value.name}</span>
      <svg
        viewBox={`0 0 ${PLOT.width} ${PLOT.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${value.name} over two minutes, now ${text}`}
      >
        <polyline points={points(known, topOf(known, value.least), SERIES_LEN)} />
      </svg>
      <span className="value">{text}</span>
    </li>
  );
}

export interface Titled {
  id: string;
  title: string;
  /** This client sends it. */
  own: boolean;
}

/** What is measured, with a title for the user. */
export function titledSources({ peers, local }: Pick<CallView, 'peers' | 'local'>): Titled[] {
  const own = [...local.keys()].map((source) => ({ id: source, title: `Your ${source}`, own: true }));
  return [
    ...own,
    ...peers.flatMap(({ name, sources }) => sources.map(({ id, source }) => ({ id, title: `${name}: ${source}`, own: false }))),
  ];
}

export function Statistics() {
  const call = useCallStore((state) => state.call);
  const toggleStatistics = useCallStore((state) => state.toggleStatistics);
  if (!call) return null;
  const measured = titledSources(call).flatMap((source) => {
    const quality = call.quality.get(source.id);
    return quality ? [{ ...source, ...quality }] : [];
  });
  return (
    <aside className="people statistics" aria-label="Statistics">
      <header>
        <h2>Statistics</h2>
        <button type="button" className="plain" aria-label="Close" onClick={toggleStatistics}>
          <Icon name="close" />
        </button>
      </header>
      {measured.length === 0 && <p className="note">Nothing is measured yet.</p>}
      {measured.map(({ id, title, own, level, series }) => (
        <section key={id} data-source={id}>
          <h3>
            {title} <Quality level={level} />
          </h3>
          <ul>
            {[...values, ...(!own && series.at(-1)?.mos === null ? [freezes] : [])].map((value) => (
              <Row key={value.name} value={value} series={series} />
            ))}
          </ul>
        </section>
      ))}
    </aside>
  );
}
