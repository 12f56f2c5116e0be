import { type FormEvent, useState } from 'react';
import { useCallStore } from '../../stores/useCallStore';
import { Icon, Mark } from './Icon';
import { Video } from './Video';

/** As in signal.proto, JoinRoom.room. */
const ROOM_PATTERN = '[A-Za-z0-9._\\-]{1,64}';
const NAME_LEN_MAX = 64;

function Preview() {
  const devices = useCallStore((state) => state.devices);
  const { toggleMicrophone, toggleCamera } = useCallStore.getState();
  const visible = devices.video !== null && devices.videoOn;
  const audible = devices.audio !== null && devices.audioOn;
  return (
    <section className="preview" aria-label="Your camera and microphone">
      <div className={`tile ${devices.pending ? 'waiting' : ''}`}>
        {visible && devices.video ? (
          <Video track={devices.video} mirrored />
        ) : (
          <p className="hint">{devices.pending ? 'Starting camera…' : 'Camera is off'}</p>
        )}
        <div className="switches">
          <button
            type="button"
            className={`control ${audible ? '' : 'off'}`}
            aria-label={audible ? 'Mute microphone' : 'Unmute microphone'}
            onClick={() => void toggleMicrophone()}
          >
            <Icon name={audible ? 'microphone' : 'microphoneOff'} />
          </button>
          <button
            type="button"
            className={`control ${visible ? '' : 'off'}`}
            aria-label={visible ? 'Turn camera off' : 'Turn camera on'}
            onClick={() => void toggleCamera()}
          >
            <Icon name={visible ? 'camera' : 'cameraOff'} />
          </button>
        </div>
      </div>
      {devices.problem && <p className="problem">{devices.problem}</p>}
    </section>
  );
}

/** The page before a call: room, name and preview. */
export function JoinPage() {
  const { room, name, token, failure } = useCallStore();
  const { setForm, join } = useCallStore.getState();
  const [joining, setJoining] = useState(false);
  // Most test servers need no token. A server that does reports it in the failure.
  const [tokenShown, setTokenShown] = useState(token !== '');
  const tokenWanted = tokenShown || (failure?.code.startsWith('TOKEN_') ?? false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setJoining(true);
    await join();
    setJoining(false);
  };

  return (
    <div className="join">
      <header className="brand">
        <Mark />
        <span className="word">Leat</span>
      </header>
      <main className="card">
        <Preview />
        <form onSubmit={submit}>
          <h1>Join a room</h1>
          <p className="lead">Everyone who enters the same room name meets here.</p>
          {failure && (
            <div className="failure" role="alert" data-code={failure.code}>
              {failure.message}
            </div>
          )}
          <label>
            <span>Room</span>
            <input
              name="room"
              value={room}
              onChange={(event) => setForm({ room: event.target.value })}
              required
              pattern={ROOM_PATTERN}
              title="Letters, digits, dots, dashes and underscores"
              maxLength={64}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              placeholder="millpond"
            />
          </label>
          <label>
            <span>Your name</span>
            <input
              name="name"
              value={name}
              onChange={(event) => setForm({ name: event.target.value })}
              required
              maxLength={NAME_LEN_MAX}
              autoComplete="name"
              placeholder="Ada"
            />
          </label>
          {tokenWanted ? (
            <label>
              <span>Token</span>
              <input
                name="token"
                value={token}
                onChange={(event) => setForm({ token: event.target.value })}
                autoComplete="off"
                spellCheck={false}
                placeholder="From the operator of the server"
              />
            </label>
          ) : (
            <button type="button" className="linkish" onClick={() => setTokenShown(true)}>
              I have a token
            </button>
          )}
          <button type="submit" className="primary" disabled={joining}>
            {joining ? 'Joining…' : 'Join'}
          </button>
        </form>
      </main>
    </div>
  );
}
