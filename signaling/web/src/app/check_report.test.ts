import { describe, expect, test } from 'vitest';
import type { CheckReport, CheckResult } from '../sdk';
import { reportJson, reportText, resultText } from './check_report';
import { catalogues } from './i18n';

const { en, de } = catalogues;
const page = { server: 'https://leat.example', browser: 'Browser 1' };
const result = (rest: Partial<CheckResult>): CheckResult => ({
  name: 'udp',
  status: 'ok',
  reason: null,
  detail: '',
  roundTripMs: null,
  ...rest,
});

describe('a result', () => {
  test('that works has its round trip', () => {
    expect(resultText(en, result({ roundTripMs: 12 }))).toBe('12 ms');
    expect(resultText(en, result({}))).toBe('');
  });

  test('that does not work says why, in words for this check where there are any', () => {
    expect(resultText(en, result({ status: 'failed', reason: 'noPath' }))).toContain('UDP is blocked');
    expect(resultText(en, result({ name: 'turnUdp', status: 'failed', reason: 'turnCredentials' }))).toContain(
      'refuses the credentials',
    );
    expect(resultText(de, result({ name: 'camera', status: 'failed', reason: 'notFound' }))).toContain('Keine Kamera gefunden');
  });

  test('that is not there yet has no words', () => {
    expect(resultText(en, result({ status: 'running' }))).toBe('');
    expect(resultText(en, result({ name: 'camera', status: 'skipped' }))).toBe('');
  });
});

test('the report is a text and JSON, with the same results', () => {
  const results = [
    result({ roundTripMs: 3, detail: 'udp 192.0.2.1:7000' }),
    result({ name: 'camera', status: 'failed', reason: 'blocked' }),
  ];
  const report: CheckReport = { at: 0, results, verdict: 'good' };
  const text = reportText(en, report, page);
  expect(text).toContain('https://leat.example');
  expect(text).toContain('Media over UDP: works. 3 ms (udp 192.0.2.1:7000)');
  expect(text).toContain('Camera: does not work. The browser blocks the device');
  expect(JSON.parse(reportJson(report, page))).toEqual({ at: '1970-01-01T00:00:00.000Z', ...page, results, verdict: 'good' });
});
