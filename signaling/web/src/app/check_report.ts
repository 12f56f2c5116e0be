// The report of a connection check, as texts to copy. It contains no token. Pure.

import type { CheckReport, CheckResult } from '../sdk';
import type { Messages } from './i18n';

/** What is wrong, and what to do; empty for a check without a problem or without a result. */
export function resultText({ check }: Messages, { name, status, reason, roundTripMs }: CheckResult): string {
  if (status === 'ok') return check.works(roundTripMs);
  if (status === 'waiting' || status === 'running') return '';
  return reason === null ? '' : (check.specific[name]?.[reason] ?? check.reasons[reason]);
}

/** Where the report comes from. */
export interface ReportPage {
  server: string;
  browser: string;
}

export function reportText(t: Messages, report: CheckReport, { server, browser }: ReportPage): string {
  const lines = report.results.map((result) => {
    const detail = result.detail && ` (${result.detail})`;
    return `${t.check.names[result.name]}: ${t.check.statuses[result.status]}. ${resultText(t, result)}${detail}`;
  });
  return [
    t.check.title,
    new Date(report.at).toISOString(),
    server,
    browser,
    '',
    t.check.verdicts[report.verdict],
    '',
    ...lines,
    '',
  ].join('\n');
}

export function reportJson({ at, ...rest }: CheckReport, { server, browser }: ReportPage): string {
  return `${JSON.stringify({ at: new Date(at).toISOString(), server, browser, ...rest }, null, 2)}\n`;
}
