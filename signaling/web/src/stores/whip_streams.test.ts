import { expect, test } from 'vitest';
import { rowsOf } from './whip_streams';

type Report = Parameters<typeof rowsOf>[0];
const report = (...all: object[]) => new Map(all.map((stats) => [(stats as { id: string }).id, stats])) as unknown as Report;

test('a publisher has a row for each encoding, the largest first, and one for audio', () => {
  const rows = rowsOf(
    report(
      { id: 'C1', type: 'codec', mimeType: 'video/VP8' },
      { id: 'C2', type: 'codec', mimeType: 'audio/opus' },
      { id: 'T1', type: 'transport' },
      { id: 'A', type: 'outbound-rtp', kind: 'audio', codecId: 'C2', packetsSent: 7 },
      {
        id: 'q',
        type: 'outbound-rtp',
        kind: 'video',
        codecId: 'C1',
        rid: 'q',
        frameWidth: 320,
        frameHeight: 180,
        framesEncoded: 5,
      },
      {
        id: 'f',
        type: 'outbound-rtp',
        kind: 'video',
        codecId: 'C1',
        rid: 'f',
        frameWidth: 1280,
        frameHeight: 720,
        framesEncoded: 4,
      },
    ),
  );
  expect(rows).toEqual([
    { key: 'f', direction: 'sent', kind: 'video', codec: 'VP8', rid: 'f', size: '1280×720', count: 4 },
    { key: 'q', direction: 'sent', kind: 'video', codec: 'VP8', rid: 'q', size: '320×180', count: 5 },
    { key: 'A', direction: 'sent', kind: 'audio', codec: 'opus', rid: '', size: '', count: 7 },
  ]);
});

test('a stream without frames has a row without a size and codec', () => {
  expect(rowsOf(report({ id: 'V', type: 'inbound-rtp', kind: 'video' }))).toEqual([
    { key: 'V', direction: 'received', kind: 'video', codec: '', rid: '', size: '', count: 0 },
  ]);
});
