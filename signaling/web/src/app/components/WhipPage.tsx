// The page /whip: publishes the camera and the microphone by WHIP, or plays the room by WHEP, to try both.

import type { FormEvent } from 'react';
import { useWhipStore } from '../../stores/useWhipStore';
import { browserFamily } from '../browser';
import { deviceFailureText } from '../device_texts';
import { useT } from '../i18n';
import { Mark } from './Icon';
import { Preferences } from './Preferences';
import { Sound } from './Sound';
import { TokenField } from './TokenField';
import { Video } from './Video';

const CODECS = {
  'video/VP8': 'VP8',
  'video/VP9': 'VP9',
  'video/H264': 'H.264',
  'video/AV1': 'AV1',
};

function Streams() {
  const t = useT();
  const streams = useWhipStore((state) => state.streams);
  if (streams.length === 0) return null;
  return (
    <table className="streams">
      <thead>
        <tr>
          <th>{t.whip.stream}</th>
          <th>{t.whip.codec}</th>
          <th>{t.whip.layer}</th>
          <th>{t.whip.count}</th>
        </tr>
      </thead>
      <tbody>
        {streams.map(({ key, direction, kind, codec, rid, size, count }) => (
          <tr key={key} data-kind={kind}>
            <td>{t.whip.streams[direction][kind]}</td>
            <td>{codec}</td>
            <td>{[rid, size].filter(Boolean).join(' ')}</td>
            <td>{t.number(count)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function WhipPage() {
  const t = useT();
  const { room, name, token, codec, status, reason, deviceErrors, tracks, tracksAreOwn } = useWhipStore();
  const { setForm, publish, play, stop } = useWhipStore.getState();
  const problem = deviceFailureText(t, deviceErrors, browserFamily(navigator.userAgent));
  const isIdle = status === 'idle' || status === 'failed';
  const video = tracks.find(({ kind }) => kind === 'video');

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const { submitter } = event.nativeEvent as SubmitEvent;
    void ((submitter as HTMLButtonElement | null)?.value === 'play' ? play() : publish());
  };

  return (
    <div className="join whip">
      <header className="brand">
        <Mark />
        <span className="word">Leat</span>
        <Preferences />
      </header>
      <main className="card">
        <section className="preview" aria-label={t.whip.picture}>
          <div className="tile">
            {video ? <Video track={video} mirrored={tracksAreOwn} contain /> : <p className="hint">{t.whip.noPicture}</p>}
          </div>
          {!tracksAreOwn && tracks.filter(({ kind }) => kind === 'audio').map((track) => <Sound key={track.id} track={track} />)}
          <Streams />
        </section>
        <form onSubmit={submit}>
          <h1>{t.whip.title}</h1>
          <p className="lead">{t.whip.lead}</p>
          <p role="status" data-status={status} className={status === 'failed' ? 'failure' : ''}>
            {[t.whip.states[status], reason, problem].filter(Boolean).join(' ')}
          </p>
          <label>
            <span>{t.join.room}</span>
            <input
              name="room"
              value={room}
              onChange={(event) => setForm({ room: event.target.value })}
              required
              maxLength={64}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              placeholder={t.join.roomExample}
            />
          </label>
          <label>
            <span>{t.whip.name}</span>
            <input
              name="name"
              value={name}
              onChange={(event) => setForm({ name: event.target.value })}
              maxLength={64}
              placeholder={t.whip.nameExample}
            />
          </label>
          <TokenField label={t.whip.token} value={token} onChange={(token) => setForm({ token })} />
          <label>
            <span>{t.whip.publishedCodec}</span>
            <select name="codec" value={codec} onChange={(event) => setForm({ codec: event.target.value })}>
              <option value="">{t.whip.anyCodec}</option>
              {Object.entries(CODECS).map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <div className="buttons">
            <button type="submit" value="publish" className="primary" disabled={!isIdle}>
              {t.whip.publish}
            </button>
            <button type="submit" value="play" className="primary" disabled={!isIdle}>
              {t.whip.play}
            </button>
            <button type="button" className="primary" disabled={isIdle} onClick={() => void stop()}>
              {t.whip.stop}
            </button>
          </div>
        </form>
      </main>
    </div>
  );
}
