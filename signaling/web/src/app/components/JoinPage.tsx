import { type FormEvent, useState } from 'react';
import { useCallStore } from '../../stores/useCallStore';
import { browserFamily } from '../browser';
import { deviceFailureText } from '../device_texts';
import { useT } from '../i18n';
import { failureText } from '../notice_texts';
import { AudioOnly, DeviceChoices } from './DeviceChoices';
import { Icon, Mark } from './Icon';
import { Preferences } from './Preferences';
import { TokenField } from './TokenField';
import { Video } from './Video';

/** As in signal.proto, JoinRoom.room. */
const ROOM_PATTERN = '[A-Za-z0-9._\\-]{1,64}';
const NAME_LEN_MAX = 64;

function Preview() {
  const t = useT();
  const devices = useCallStore((state) => state.devices);
  const { toggleMicrophone, toggleCamera } = useCallStore.getState();
  const visible = devices.video !== null && devices.videoOn;
  const audible = devices.audio !== null && devices.audioOn;
  return (
    <section className="preview" aria-label={t.join.preview}>
      <div className={`tile ${devices.pending ? 'waiting' : ''}`}>
        {visible && devices.video ? (
          <Video track={devices.video} mirrored />
        ) : (
          <p className="hint">{devices.pending ? t.join.cameraStarts : t.join.cameraIsOff}</p>
        )}
        <div className="switches">
          <button
            type="button"
            className={`control ${audible ? '' : 'off'}`}
            aria-label={audible ? t.controls.mute : t.controls.unmute}
            onClick={() => void toggleMicrophone()}
          >
            <Icon name={audible ? 'microphone' : 'microphoneOff'} />
          </button>
          <button
            type="button"
            className={`control ${visible ? '' : 'off'}`}
            aria-label={visible ? t.controls.cameraOff : t.controls.cameraOn}
            onClick={() => void toggleCamera()}
          >
            <Icon name={visible ? 'camera' : 'cameraOff'} />
          </button>
        </div>
      </div>
      {devices.errors.length > 0 && (
        <p className="problem">{deviceFailureText(t, devices.errors, browserFamily(navigator.userAgent))}</p>
      )}
      <DeviceChoices />
      <AudioOnly />
    </section>
  );
}

/** The token is in the fragment, as in a link to a room: the page of the check removes it from the address. */
function checkLink(room: string, token: string): string {
  const query = room ? `?room=${encodeURIComponent(room)}` : '';
  return `/check${query}${token ? `#token=${encodeURIComponent(token)}` : ''}`;
}

/** The page before a call: room, name and preview. */
export function JoinPage() {
  const t = useT();
  const { room, name, token, failure } = useCallStore();
  const { setForm, join, joinWithoutDevices } = useCallStore.getState();
  const [joining, setJoining] = useState(false);
  // Most test servers need no token. A server that does reports it in the failure.
  const [tokenShown, setTokenShown] = useState(token !== '');
  const tokenWanted = tokenShown || (failure?.code.startsWith('TOKEN_') ?? false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const { submitter } = event.nativeEvent as SubmitEvent;
    setJoining(true);
    await ((submitter as HTMLButtonElement | null)?.value === 'without' ? joinWithoutDevices() : join());
    setJoining(false);
  };

  return (
    <div className="join">
      <header className="brand">
        <Mark />
        <span className="word">Leat</span>
        <Preferences />
      </header>
      <main className="card">
        <Preview />
        <form onSubmit={submit}>
          <h1>{t.join.title}</h1>
          <p className="lead">{t.join.lead}</p>
          {failure && (
            <div className="failure" role="alert" data-code={failure.code}>
              {failureText(t, failure)}
            </div>
          )}
          <label>
            <span>{t.join.room}</span>
            <input
              name="room"
              value={room}
              onChange={(event) => setForm({ room: event.target.value })}
              required
              pattern={ROOM_PATTERN}
              title={t.join.roomHint}
              maxLength={64}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              placeholder={t.join.roomExample}
            />
          </label>
          <label>
            <span>{t.join.name}</span>
            <input
              name="name"
              value={name}
              onChange={(event) => setForm({ name: event.target.value })}
              required
              maxLength={NAME_LEN_MAX}
              autoComplete="name"
              placeholder={t.join.nameExample}
            />
          </label>
          {tokenWanted ? (
            <TokenField label={t.join.token} value={token} onChange={(token) => setForm({ token })} />
          ) : (
            <button type="button" className="linkish" onClick={() => setTokenShown(true)}>
              {t.join.haveToken}
            </button>
          )}
          <button type="submit" className="primary" disabled={joining}>
            {joining ? t.session.handshaking : t.join.join}
          </button>
          <div className="also">
            <button type="submit" value="without" className="linkish" disabled={joining}>
              {t.devices.joinWithout}
            </button>
            <a className="linkish" href={checkLink(room, token)}>
              {t.devices.checkConnection}
            </a>
          </div>
        </form>
      </main>
    </div>
  );
}
