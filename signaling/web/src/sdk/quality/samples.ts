// The counters of one source in a `getStats` report (W3C webrtc-stats). Pure.

/** The fields that are read, of all types of rows. Browsers omit some of them. */
interface Row {
  id: string;
  type: string;
  timestamp: number;
  kind?: string;
  ssrc?: number;
  mid?: string;
  remoteId?: string;
  packetsReceived?: number;
  packetsSent?: number;
  packetsLost?: number;
  bytesReceived?: number;
  bytesSent?: number;
  /** Seconds. */
  jitter?: number;
  roundTripTime?: number;
  currentRoundTripTime?: number;
  selectedCandidatePairId?: string;
  localCandidateId?: string;
  candidateType?: string;
  framesDecoded?: number;
  nominated?: boolean;
  state?: string;
  freezeCount?: number;
  totalFreezesDuration?: number;
}

export interface Report {
  values(): Iterable<Row>;
}

/** Counters since the source began. */
export interface Sample {
  kind: 'audio' | 'video';
  /** Milliseconds, of the clock of the report. */
  at: number;
  packets: number;
  packetsLost: number;
  bytes: number;
  /** Milliseconds; the latest value. */
  jitterMs: number;
  /** Milliseconds; null: not known. */
  rttMs: number | null;
  freezes: number;
  frozenMs: number;
}

/** A source that this client receives; null if the report has none with this SSRC. */
export function receivedSample(report: Report, ssrc: number): Sample | null {
  const row = find(report, (row) => row.type === 'inbound-rtp' && row.ssrc === ssrc);
  if (!row) return null;
  return {
    kind: row.kind === 'video' ? 'video' : 'audio',
    at: row.timestamp,
    packets: row.packetsReceived ?? 0,
    packetsLost: row.packetsLost ?? 0,
    bytes: row.bytesReceived ?? 0,
    jitterMs: 1_000 * (row.jitter ?? 0),
    rttMs: pathRttMs(report),
    freezes: row.freezeCount ?? 0,
    frozenMs: 1_000 * (row.totalFreezesDuration ?? 0),
  };
}

/**
 * A source that this client sends, all encodings together; null if the report has none in this section. Losses and
 * jitter are those that the server reports (RFC 3550 §6.4).
 */
export function sentSample(report: Report, mid: string): Sample | null {
  const sent = [...report.values()].filter((row) => row.type === 'outbound-rtp' && row.mid === mid);
  const [first] = sent;
  if (!first) return null;
  const ids = new Set(sent.map(({ remoteId }) => remoteId));
  const ssrcs = new Set(sent.map(({ ssrc }) => ssrc));
  const remote = [...report.values()].filter(
    (row) => row.type === 'remote-inbound-rtp' && (ids.has(row.id) || ssrcs.has(row.ssrc)),
  );
  const rtts = remote.flatMap(({ roundTripTime }) => (roundTripTime === undefined ? [] : [1_000 * roundTripTime]));
  return {
    kind: first.kind === 'video' ? 'video' : 'audio',
    at: first.timestamp,
    packets: sum(sent, ({ packetsSent }) => packetsSent),
    packetsLost: sum(remote, ({ packetsLost }) => packetsLost),
    bytes: sum(sent, ({ bytesSent }) => bytesSent),
    jitterMs: 1_000 * Math.max(0, ...remote.map(({ jitter }) => jitter ?? 0)),
    rttMs: rtts.length > 0 ? Math.max(...rtts) : pathRttMs(report),
    freezes: 0,
    frozenMs: 0,
  };
}

/** Whether media goes through a TURN server; null without a path. */
export function isRelayed(report: Report): boolean | null {
  const local = selectedPair(report)?.localCandidateId;
  const candidate = find(report, ({ type, id }) => type === 'local-candidate' && id === local);
  return candidate?.candidateType === undefined ? null : candidate.candidateType === 'relay';
}

/** Whether a picture was decoded. */
export function hasPicture(report: Report): boolean {
  return find(report, (row) => row.type === 'inbound-rtp' && row.kind === 'video' && (row.framesDecoded ?? 0) > 0) !== undefined;
}

function pathRttMs(report: Report): number | null {
  const pair = selectedPair(report);
  return pair?.currentRoundTripTime === undefined ? null : 1_000 * pair.currentRoundTripTime;
}

/** The selected pair of candidates. Firefox has no row `transport` and marks the pair instead. */
function selectedPair(report: Report): Row | undefined {
  const selected = find(report, ({ type }) => type === 'transport')?.selectedCandidatePairId;
  return find(report, ({ type, id, nominated, state }) => {
    return type === 'candidate-pair' && (selected ? id === selected : nominated === true && state === 'succeeded');
  });
}

function find(report: Report, wanted: (row: Row) => boolean): Row | undefined {
  for (const row of report.values()) if (wanted(row)) return row;
  return undefined;
}

function sum(rows: readonly Row[], value: (row: Row) => number | undefined): number {
  return rows.reduce((total, row) => total + (value(row) ?? 0), 0);
}
