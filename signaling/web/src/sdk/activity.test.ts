import { expect, test } from 'vitest';
import { Activity, REPORT_INTERVAL_MS } from './activity';

test('activity is reported at once, and then once per interval', () => {
  let reports = 0;
  const activity = new Activity(() => {
    reports += 1;
  });
  activity.touch(1_000);
  expect(reports).toBe(1);
  for (let at = 1_000; at < 1_000 + REPORT_INTERVAL_MS; at += 100) activity.touch(at);
  expect(reports).toBe(1);
  activity.touch(1_000 + REPORT_INTERVAL_MS);
  expect(reports).toBe(2);
});

test('after a return the next activity is reported at once', () => {
  let reports = 0;
  const activity = new Activity(() => {
    reports += 1;
  });
  activity.touch(1_000);
  activity.reset();
  activity.touch(1_001);
  expect(reports).toBe(2);
});
