import { expect, test } from 'vitest';
import { afterReport, nothingReported, speakersOf } from './speaking';

const bob = (dbov: number) => ({ peerId: 'bob', dbov });
const eve = (dbov: number) => ({ peerId: 'eve', dbov });

test('peers that are loud enough speak until a report without them, and a moment longer', () => {
  const first = afterReport(nothingReported, [bob(-20), eve(-58)], 1_000);
  // Without a change the server sends no report.
  expect([...speakersOf(first, 60_000)]).toEqual(['bob']);
  const second = afterReport(first, [eve(-30)], 60_000);
  expect([...speakersOf(second, 60_600)].sort()).toEqual(['bob', 'eve']);
  expect([...speakersOf(second, 60_800)]).toEqual(['eve']);
});

test('a pause between two words does not remove the speaker', () => {
  let reported = afterReport(nothingReported, [bob(-20)], 0);
  for (const at of [300, 600]) {
    reported = afterReport(reported, [bob(-60)], at);
    expect(speakersOf(reported, at).has('bob')).toBe(true);
  }
  reported = afterReport(reported, [bob(-25)], 900);
  expect(speakersOf(reported, 60_000).has('bob')).toBe(true);
});

test('the moment is counted from the first report without the peer', () => {
  let reported = afterReport(nothingReported, [bob(-20)], 0);
  for (const at of [300, 600, 900, 1_200]) reported = afterReport(reported, [], at);
  expect(speakersOf(reported, 1_200).size).toBe(0);
  expect(reported.quietSince.size).toBe(0);
});
