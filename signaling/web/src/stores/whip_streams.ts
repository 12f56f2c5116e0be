// The streams of a connection as rows for the page. Pure: from the statistics of the browser.

export interface StreamRow {
  key: string;
  direction: 'sent' | 'received';
  kind: 'audio' | 'video';
  /** For example "VP8". */
  codec: string;
  /** The encoding of a simulcast; empty if there is one encoding. */
  rid: string;
  /** "1280×720"; empty for audio and before the first frame. */
  size: string;
  /** Frames of video encoded or decoded, packets of audio. */
  count: number;
}

/** Fields of RTCInboundRtpStreamStats, RTCOutboundRtpStreamStats and RTCCodecStats that this file reads. */
interface Stats {
  id: string;
  type: string;
  kind?: string;
  codecId?: string;
  mimeType?: string;
  rid?: string;
  frameWidth?: number;
  frameHeight?: number;
  framesEncoded?: number;
  framesDecoded?: number;
  packetsSent?: number;
  packetsReceived?: number;
}

/** The report of `RTCPeerConnection.getStats`. Video comes first, then the encodings from the largest to the smallest. */
export function rowsOf(report: ReadonlyMap<string, Stats>): StreamRow[] {
  const rows = [...report.values()].flatMap((stats): (StreamRow & { lines: number })[] => {
    const { id, type, kind, rid = '', frameWidth = 0, frameHeight: lines = 0 } = stats;
    if ((type !== 'inbound-rtp' && type !== 'outbound-rtp') || (kind !== 'audio' && kind !== 'video')) return [];
    const codec = report.get(stats.codecId ?? '')?.mimeType?.split('/')[1] ?? '';
    const size = lines > 0 ? `${frameWidth}×${lines}` : '';
    const frames = stats.framesEncoded ?? stats.framesDecoded;
    const count = (kind === 'video' ? frames : (stats.packetsSent ?? stats.packetsReceived)) ?? 0;
    return [{ key: id, direction: type === 'inbound-rtp' ? 'received' : 'sent', kind, codec, rid, size, count, lines }];
  });
  return rows.sort((a, b) => b.kind.localeCompare(a.kind) || b.lines - a.lines).map(({ lines: _, ...row }) => row);
}
