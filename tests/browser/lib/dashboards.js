// The dashboards for Grafana, written by `npm run dashboards` into docs/deploy/grafana. Each panel shows
// metrics of one or several of Leat's processes; monitoring.test.js runs every query against Prometheus.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DashboardBuilder, DatasourceVariableBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatPanel } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimePanel } from '@grafana/grafana-foundation-sdk/timeseries';
import { ROOT } from './leat.js';

export const FOLDER = join(ROOT, 'docs/deploy/grafana');

/** Width and height of a panel, in units of the grid, which has 24 columns. */
const PANEL = { span: 8, height: 7 };
const STAT = { span: 4, height: 4 };

const rate = (metric, by = '') => `sum${by && ` by (${by})`} (rate(${metric}[$__rate_interval]))`;
const engine = (metric) => rate(`leat_engine_${metric}_total`);
const turn = (metric) => rate(`leat_turn_${metric}_total`);
const signaling = (metric) => rate(`leat_signaling_${metric}_total`);

/** A number as it is now. */
const now = (title, unit, expr) => ({ title, unit, stat: true, queries: [[title, expr]] });
/** Curves: pairs of a legend and a query. */
const curves = (title, unit, ...queries) => ({ title, unit, queries });

/** All dashboards: name, title, and rows of panels. */
export const DASHBOARDS = [
  {
    name: 'overview',
    title: 'Leat: overview',
    panels: [
      now('Rooms', 'short', 'sum (leat_signaling_rooms)'),
      now('Peers', 'short', 'sum (leat_signaling_peers)'),
      now('Peers without a connection', 'short', 'sum (leat_signaling_peers_away)'),
      now('Engines ready', 'short', 'sum (leat_signaling_engine_ready)'),
      now('Busiest worker', 'percentunit', 'max (rate(leat_engine_busy_seconds_total[$__rate_interval]))'),
      now('Relayed allocations', 'short', 'sum (leat_turn_allocations)'),
      curves('Media', 'pps', ['received', engine('rtp_in')], ['sent', engine('rtp_out')]),
      curves('Bit rate of media', 'bps', ['received', `8 * ${engine('bytes_in')}`], ['sent', `8 * ${engine('rtp_bytes_out')}`]),
      curves('Joins', 's', ['50 %', quantile(0.5)], ['95 %', quantile(0.95)]),
      curves('Requests by result', 'reqps', ['{{code}}', rate('leat_signaling_requests_total', 'code')]),
      curves(
        'Dependencies of signaling',
        'bool',
        ['engine', 'min (leat_signaling_engine_ready)'],
        ['sessions', 'min (leat_signaling_sessions_available)'],
        ['bus', 'min (leat_signaling_bus_connected)'],
      ),
      curves(
        'Panics',
        'short',
        ['contained', 'sum (leat_engine_panics_total)'],
        ['shards replaced', 'sum (leat_engine_shards_replaced_total)'],
      ),
    ],
  },
  {
    name: 'media',
    title: 'Leat: media',
    panels: [
      curves('Busy share of each worker', 'percentunit', [
        '{{instance}} {{worker}}',
        'rate(leat_engine_busy_seconds_total[$__rate_interval])',
      ]),
      curves(
        'Time in the engine, oldest datagram of each batch',
        's',
        ['50 %', held(0.5)],
        ['99 %', held(0.99)],
        ['99.9 %', held(0.999)],
      ),
      curves(
        'Objects',
        'short',
        ['transports', 'sum (leat_engine_transports)'],
        ['producers', 'sum (leat_engine_producers)'],
        ['consumers', 'sum (leat_engine_consumers)'],
      ),
      curves(
        'Objects of data channels',
        'short',
        ['producers', 'sum (leat_engine_data_producers)'],
        ['consumers', 'sum (leat_engine_data_consumers)'],
      ),
      curves('RTP', 'pps', ['received', engine('rtp_in')], ['sent', engine('rtp_out')], ['retransmitted', engine('rtx_out')]),
      curves('Loss of publishers', 'pps', ['requested again', engine('nacks_out')], ['given up', engine('nacks_given_up')]),
      curves(
        'Loss of subscribers',
        'pps',
        ['reported missing', engine('nacks_in')],
        ['not in the cache', engine('nack_cache_misses')],
        ['over budget', engine('nacks_over_budget')],
      ),
      curves(
        'Keyframe requests',
        'reqps',
        ['of subscribers', engine('keyframe_requests_in')],
        ['to publishers', engine('keyframe_requests_out')],
      ),
      curves('DTLS handshakes', 'cps', ['completed', engine('dtls_connected')], ['failed', engine('dtls_failed')]),
      curves('Between workers', 'pps', ['sent', engine('piped_out')], ['lost', engine('piped_lost')]),
      curves('Discards by reason', 'pps', ['{{reason}}', rate('leat_engine_discards_total', 'reason')]),
      curves(
        'Losses in this host',
        'pps',
        ['receive buffer full', engine('udp_receive_dropped')],
        ['send buffer full', engine('udp_send_dropped')],
        ['batch full', engine('tx_full')],
        ['pacer', engine('paced_drops')],
      ),
      curves(
        'Datagrams in one system call',
        'short',
        ['received', `${engine('udp_received')} / ${engine('udp_receive_calls')}`],
        ['sent', `${engine('udp_sent')} / ${engine('udp_send_calls')}`],
      ),
      curves(
        'Messages of data channels',
        'pps',
        ['received', engine('data_in')],
        ['sent', engine('data_out')],
        ['lost', engine('data_lost')],
      ),
      curves('Padding to probe for bandwidth', 'bps', ['padding', `8 * ${engine('padding_bytes_out')}`]),
      curves('TCP connections', 'short', ['open', 'sum (leat_engine_tcp_connections)']),
    ],
  },
  {
    name: 'signaling',
    title: 'Leat: signaling',
    panels: [
      curves(
        'Rooms and peers',
        'short',
        ['rooms', 'sum (leat_signaling_rooms)'],
        ['peers', 'sum (leat_signaling_peers)'],
        ['away', 'sum (leat_signaling_peers_away)'],
        ['in waiting rooms', 'sum (leat_signaling_waiting_clients)'],
      ),
      curves('Connections', 'short', ['connections', 'sum (leat_signaling_connections)']),
      curves(
        'Objects',
        'short',
        ['transports', 'sum (leat_signaling_transports)'],
        ['producers', 'sum (leat_signaling_producers)'],
        ['consumers', 'sum (leat_signaling_consumers)'],
      ),
      curves('Requests by message', 'reqps', ['{{request}}', rate('leat_signaling_requests_total', 'request')]),
      curves('Requests that failed, by code', 'reqps', ['{{code}}', rate('leat_signaling_requests_total{code!="OK"}', 'code')]),
      curves('Time of a join', 's', ['50 %', quantile(0.5)], ['95 %', quantile(0.95)], ['99 %', quantile(0.99)]),
      curves(
        'Time of a join, as clients measure it',
        's',
        ['50 %', quantile(0.5, 'client_join')],
        ['95 %', quantile(0.95, 'client_join')],
      ),
      curves('Time to the first picture', 's', ['50 %', quantile(0.5, 'first_frame')], ['95 %', quantile(0.95, 'first_frame')]),
      curves('Freezes at clients', 'cps', ['freezes', signaling('freezes')]),
      curves(
        'Bus',
        'pps',
        ['sent', signaling('bus_published')],
        ['dropped: NATS away', signaling('bus_dropped_away')],
        ['dropped: queue full', signaling('bus_dropped_full')],
        ['slow subscribers', signaling('bus_slow')],
      ),
      curves(
        'Dependencies',
        'bool',
        ['engine', 'min (leat_signaling_engine_ready)'],
        ['sessions', 'min (leat_signaling_sessions_available)'],
        ['bus', 'min (leat_signaling_bus_connected)'],
      ),
    ],
  },
  {
    name: 'turn',
    title: 'Leat: TURN',
    panels: [
      curves(
        'Allocations',
        'short',
        ['allocations', 'sum (leat_turn_allocations)'],
        ['relay sockets', 'sum (leat_turn_relay_sockets)'],
        ['TCP connections', 'sum (leat_turn_tcp_connections)'],
      ),
      curves('Relayed', 'bps', ['to peers', `8 * ${turn('to_peers_bytes')}`], ['to clients', `8 * ${turn('to_clients_bytes')}`]),
      curves('Relayed datagrams', 'pps', ['to peers', turn('to_peers_packets')], ['to clients', turn('to_clients_packets')]),
      curves(
        'Allocations made and ended',
        'cps',
        ['made', turn('allocations_created')],
        ['expired', turn('allocations_expired')],
        ['revoked', turn('allocations_revoked')],
      ),
      curves(
        'Refused',
        'cps',
        ['quota', turn('quota_reached')],
        ['no capacity', turn('no_capacity')],
        ['forbidden peers', turn('forbidden_peers')],
        ['wrong credentials', turn('wrong_credentials')],
      ),
      curves('Challenges', 'cps', ['401', turn('challenges')], ['438', turn('stale_nonces')], ['not sent', turn('throttled')]),
      curves(
        'Not relayed',
        'pps',
        ['no permission', turn('no_permission')],
        ['bit rate', turn('over_bitrate')],
        ['no allocation', turn('no_allocation')],
        ['malformed', turn('malformed')],
      ),
      curves(
        'Losses in this host',
        'pps',
        ['receive buffer full', turn('udp_receive_dropped')],
        ['send buffer full', turn('udp_send_dropped')],
        ['batch full', turn('tx_full')],
      ),
      curves('Busy share', 'percentunit', [
        '{{instance}}',
        'sum by (instance) (rate(leat_turn_busy_seconds_total[$__rate_interval]))',
      ]),
    ],
  },
];

function held(share) {
  return `histogram_quantile(${share}, ${rate('leat_engine_forwarding_latency_seconds_bucket', 'le')})`;
}

function quantile(share, name = 'join') {
  return `histogram_quantile(${share}, ${rate(`leat_signaling_${name}_duration_seconds_bucket`, 'le')})`;
}

/** Every query of every dashboard: where it is, and the query with Grafana's variable replaced. */
export function* queries() {
  for (const { name, panels } of DASHBOARDS) {
    for (const { title, queries } of panels) {
      for (const [, expr] of queries) yield { where: `${name}: ${title}`, expr: expr.replaceAll('$__rate_interval', '1m') };
    }
  }
}

function panel({ title, unit, stat, queries }) {
  const size = stat ? STAT : PANEL;
  const built = (stat ? new StatPanel() : new TimePanel().min(0)).title(title).unit(unit).span(size.span).height(size.height);
  for (const [legend, expr] of queries) built.withTarget(new DataqueryBuilder().expr(expr).legendFormat(legend));
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the name of Grafana's variable
  return built.datasource({ type: 'prometheus', uid: '${datasource}' });
}

/** The text of a dashboard's file. */
export function dashboard({ name, title, panels }) {
  const builder = new DashboardBuilder(title)
    .uid(`leat-${name}`)
    .tags(['leat'])
    .refresh('10s')
    .time({ from: 'now-30m', to: 'now' })
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'));
  for (const one of panels) builder.withPanel(panel(one));
  return `${JSON.stringify(builder.build(), null, 2)}\n`;
}

export const fileOf = ({ name }) => join(FOLDER, `${name}.json`);

/** The committed text of a dashboard. */
export const written = (one) => readFileSync(fileOf(one), 'utf8');

if (process.argv[1] === import.meta.filename) {
  mkdirSync(FOLDER, { recursive: true });
  for (const one of DASHBOARDS) writeFileSync(fileOf(one), dashboard(one));
}
