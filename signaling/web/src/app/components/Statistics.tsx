// The statistics of each source: its last values, and plots of two minutes.

import type { CallView, Measurement } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { type Messages, useT } from '../i18n';
import { PLOT, points, topOf } from '../plot';
import { Panel } from './Panel';
import { Quality } from './Quality';

/** As many measurements as a series has at most. */
const SERIES_LEN = 60;

interface Value {
  name: keyof Messages['statistics']['values'];
  /** Null: not known, or not of this kind of source. */
  of(measurement: Measurement): number | null;
  /** The number as the user reads it. */
  show(value: number, t: Messages): string;
  /** The plot shows at least this range. */
  least: number;
}

const values: readonly Value[] = [
  {
    name: 'bitRate',
    of: ({ bitrateBps }) => bitrateBps / 1_000,
    show: (kbps, { number }) => `${number(kbps)} kbit/s`,
    least: 100,
  },
  {
    name: 'packetLoss',
    of: ({ packetLoss }) => 100 * packetLoss,
    show: (share, { number }) => `${number(share, 1)} %`,
    least: 10,
  },
  { name: 'jitter', of: ({ jitterMs }) => jitterMs, show: (ms, { number }) => `${number(ms)} ms`, least: 50 },
  { name: 'roundTrip', of: ({ rttMs }) => rttMs, show: (ms, { number }) => `${number(ms)} ms`, least: 200 },
  { name: 'opinionScore', of: ({ mos }) => mos, show: (mos, { number }) => number(mos, 1), least: 4.5 },
];

/** Of received video, which has no opinion score. */
const freezes: Value = { name: 'freezes', of: ({ freezes }) => freezes, show: (count, { number }) => number(count), least: 4 };

function Row({ value, series }: { value: Value; series: readonly Measurement[] }) {
  const t = useT();
  const known = series.map(value.of).filter((number) => number !== null);
  const last = known.at(-1);
  if (last === undefined) return null;
  const text = value.show(last, t);
  const name = t.statistics.values[value.name];
  return (
    <li className="measure">
      <span className="note">{name}</span>
      <svg
        viewBox={`0 0 ${PLOT.width} ${PLOT.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={t.statistics.plot(name, text)}
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
export function titledSources({ peers, local }: Pick<CallView, 'peers' | 'local'>, { statistics: t }: Messages): Titled[] {
  const own = [...local.keys()].map((source) => ({ id: source, title: t.own(source), own: true }));
  return [
    ...own,
    ...peers.flatMap(({ name, sources }) => sources.map(({ id, source }) => ({ id, title: t.of(name, source), own: false }))),
  ];
}

export function Statistics() {
  const t = useT();
  const call = useCallStore((state) => state.call);
  const toggleStatistics = useCallStore((state) => state.toggleStatistics);
  if (!call) return null;
  const measured = titledSources(call, t).flatMap((source) => {
    const quality = call.quality.get(source.id);
    return quality ? [{ ...source, ...quality }] : [];
  });
  return (
    <Panel className="statistics" title={t.controls.statistics} onClose={toggleStatistics}>
      {measured.length === 0 && <p className="note">{t.statistics.nothing}</p>}
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
    </Panel>
  );
}
