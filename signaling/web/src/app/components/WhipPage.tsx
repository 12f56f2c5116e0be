// The page /whip: publishes the camera and the microphone by WHIP, or plays the room by WHEP, to try both.

import type { FormEvent } from 'react';
import { useWhipStore, type WhipStatus } from '../../stores/useWhipStore';
import { Mark } from './Icon';
import { Sound } from './Sound';
import { Video } from './Video';

const CODECS = {
  '': 'Selected by the server',
  'video/VP8': 'VP8',
  'video/VP9': 'VP9',
  'video/H264': 'H.264',
  'video/AV1': 'AV1',
};

const sentences: Record<WhipStatus, string> = {
  idle: 'Not connected.',
  connecting: 'Connecting…',
  waiting: 'Waiting for a publisher.',
  publishing: 'Publishing.',
  playing: 'Playing.',
  failed: 'Failed.',
};

function Streams() {
  const streams = useWhipStore((state) => state.streams);
  if (streams.length === 0) return null;
  return (
    <table className="streams">
      <thead>
        <tr>
          <th>Stream</th>
          <th>Codec</th>
          <th>Layer</th>
          <th>Frames or packets</th>
        </tr>
      </thead>
      <tbody>
        {streams.map(({ key, direction, kind, codec, rid, size, count }) => (
          <tr key={key} data-kind={kind}>
            <td>{`${kind} ${direction}`}</td>
            <td>{codec}</td>
            <td>{[rid, size].filter(Boolean).join(' ')}</td>
            <td>{count}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function WhipPage() {
  const { room, name, token, codec, status, reason, tracks, tracksAreOwn } = useWhipStore();
  const { setForm, publish, play, stop } = useWhipStore.getState();
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
      </header>
      <main className="card">
        <section className="preview" aria-label="Picture">
          <div className="tile">
            {video ? <Video track={video} mirrored={tracksAreOwn} contain /> : <p className="hint">No picture</p>}
          </div>
          {!tracksAreOwn && tracks.filter(({ kind }) => kind === 'audio').map((track) => <Sound key={track.id} track={track} />)}
          <Streams />
        </section>
        <form onSubmit={submit}>
          <h1>WHIP and WHEP</h1>
          <p className="lead">Publish this camera and microphone to a room, or play a room.</p>
          <p role="status" data-status={status} className={status === 'failed' ? 'failure' : ''}>
            {[sentences[status], reason].filter(Boolean).join(' ')}
          </p>
          <label>
            <span>Room</span>
            <input
              name="room"
              value={room}
              onChange={(event) => setForm({ room: event.target.value })}
              required
              maxLength={64}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              placeholder="millpond"
            />
          </label>
          <label>
            <span>Name</span>
            <input
              name="name"
              value={name}
              onChange={(event) => setForm({ name: event.target.value })}
              maxLength={64}
              placeholder="Camera 1"
            />
          </label>
          <label>
            <span>Token or stream key</span>
            <input
              name="token"
              value={token}
              onChange={(event) => setForm({ token: event.target.value })}
              autoComplete="off"
              spellCheck={false}
              placeholder="From the operator of the server"
            />
          </label>
          <label>
            <span>Codec of the published video</span>
            <select name="codec" value={codec} onChange={(event) => setForm({ codec: event.target.value })}>
              {Object.entries(CODECS).map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <div className="buttons">
            <button type="submit" value="publish" className="primary" disabled={!isIdle}>
              Publish
            </button>
            <button type="submit" value="play" className="primary" disabled={!isIdle}>
              Play
            </button>
            <button type="button" className="primary" disabled={isIdle} onClick={() => void stop()}>
              Stop
            </button>
          </div>
        </form>
      </main>
    </div>
  );
}
