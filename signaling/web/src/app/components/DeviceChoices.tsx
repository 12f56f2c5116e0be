import { canChooseSpeaker, type DeviceRole } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { useT } from '../i18n';

const ROLES: readonly DeviceRole[] = ['microphone', 'camera', 'speaker'];

/** The choice of microphone, camera and speaker, before and during a call. */
export function DeviceChoices() {
  const t = useT();
  const isNameless = useCallStore(({ devices }) => devices.list.hidden.size > 0 && devices.list.devices.length === 0);
  return (
    <div className="devices">
      {ROLES.map((role) =>
        role === 'speaker' && !canChooseSpeaker() ? (
          <p key={role} className="note">
            {t.devices.noSpeakerChoice}
          </p>
        ) : (
          <DeviceChoice key={role} role={role} />
        ),
      )}
      {isNameless && <p className="note">{t.devices.unnamedHint}</p>}
    </div>
  );
}

function DeviceChoice({ role }: { role: DeviceRole }) {
  const t = useT();
  const list = useCallStore((state) => state.devices.list);
  const chosen = useCallStore((state) => state.devices.choices[role]);
  const disabled = useCallStore(({ devices }) => role === 'camera' && devices.audioOnly);
  const chooseDevice = useCallStore((state) => state.chooseDevice);
  const devices = list.devices.filter((device) => device.role === role);
  // A chosen device that is not there: the browser selects another one, until it is there again.
  const value = devices.some(({ id }) => id === chosen) ? (chosen ?? '') : '';
  return (
    <label>
      <span>{t.devices.roles[role]}</span>
      <select
        name={role}
        value={value}
        disabled={disabled}
        onChange={(event) => void chooseDevice(role, event.target.value || null)}
      >
        <option value="">{t.devices.automatic}</option>
        {devices.map(({ id, label }, index) => (
          <option key={id} value={id}>
            {label || t.devices.unnamed(role, index + 1)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** No camera and no video of others. */
export function AudioOnly() {
  const t = useT();
  const audioOnly = useCallStore((state) => state.devices.audioOnly);
  const setAudioOnly = useCallStore((state) => state.setAudioOnly);
  return (
    <button
      type="button"
      className="switch"
      role="switch"
      aria-checked={audioOnly}
      title={t.devices.audioOnlyHint}
      onClick={() => setAudioOnly(!audioOnly)}
    >
      {t.devices.audioOnly}
    </button>
  );
}
