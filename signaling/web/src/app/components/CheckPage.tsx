// The page /check: checks the connection to the server and the devices, and says what is wrong.

import { type FormEvent, useEffect, useState } from 'react';
import type { CheckReport, CheckResult } from '../../sdk';
import { useCheckStore } from '../../stores/useCheckStore';
import { reportJson, reportText, resultText } from '../check_report';
import { useT } from '../i18n';
import { Mark } from './Icon';
import { Preferences } from './Preferences';
import { TokenField } from './TokenField';

function Row({ result }: { result: CheckResult }) {
  const t = useT();
  const { name, status, detail } = result;
  return (
    <li data-check={name} data-status={status}>
      <span className="name">{t.check.names[name]}</span>
      <span className="status">{t.check.statuses[status]}</span>
      <span className="sentence">{resultText(t, result)}</span>
      {detail && <span className="detail">{detail}</span>}
    </li>
  );
}

function Report({ report }: { report: CheckReport }) {
  const t = useT();
  const [copied, setCopied] = useState(false);
  const page = { server: location.origin, browser: navigator.userAgent };
  const text = reportText(t, report, page);
  const copy = (content: string) =>
    void navigator.clipboard?.writeText(content).then(
      () => setCopied(true),
      // The text is shown below, to be copied by hand.
      () => setCopied(false),
    );
  return (
    <section className="report" aria-label={t.check.report}>
      <div className="buttons">
        <button type="button" className="linkish" onClick={() => copy(text)}>
          {t.check.copyText}
        </button>
        <button type="button" className="linkish" onClick={() => copy(reportJson(report, page))}>
          {t.check.copyJson}
        </button>
        <span role="status">{copied && t.check.copied}</span>
      </div>
      <details>
        <summary>{t.check.report}</summary>
        <pre>{text}</pre>
      </details>
    </section>
  );
}

export function CheckPage() {
  const t = useT();
  const { room, token, running, results, report } = useCheckStore();
  const { setForm, start } = useCheckStore.getState();
  useEffect(() => void start(), [start]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    void start();
  };
  const tokenWanted = token !== '' || results.some(({ reason }) => reason === 'token');

  return (
    <div className="join check">
      <header className="brand">
        <Mark />
        <span className="word">Leat</span>
        <Preferences />
      </header>
      <main className="card">
        <form onSubmit={submit}>
          <h1>{t.check.title}</h1>
          <p className="lead">{t.check.lead}</p>
          <p className="verdict" role="status" data-verdict={report?.verdict}>
            {report ? t.check.verdicts[report.verdict] : t.check.running}
          </p>
          <ul>
            {results.map((result) => (
              <Row key={result.name} result={result} />
            ))}
          </ul>
          {tokenWanted && (
            <>
              <TokenField label={t.join.token} value={token} onChange={(token) => setForm({ token })} />
              <label>
                <span>{t.join.room}</span>
                <input
                  name="room"
                  value={room}
                  onChange={(event) => setForm({ room: event.target.value })}
                  autoComplete="off"
                  placeholder={t.check.roomHint}
                />
              </label>
            </>
          )}
          <button type="submit" className="primary" disabled={running}>
            {running ? t.check.running : report ? t.check.again : t.check.start}
          </button>
          {report && <Report report={report} />}
          <a className="linkish" href={room ? `/?room=${encodeURIComponent(room)}` : '/'}>
            {t.check.back}
          </a>
        </form>
      </main>
    </div>
  );
}
