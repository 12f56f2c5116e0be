import { useCallStore } from '../../stores/useCallStore';
import { useT } from '../i18n';
import { AudioOnly, DeviceChoices } from './DeviceChoices';
import { Panel } from './Panel';

/** The devices during a call. */
export function DevicePanel() {
  const t = useT();
  const toggleDevices = useCallStore((state) => state.toggleDevices);
  return (
    <Panel className="device-panel" title={t.devices.panel} onClose={toggleDevices}>
      <DeviceChoices />
      <AudioOnly />
      <a className="linkish" href="/check" target="_blank" rel="noreferrer">
        {t.devices.checkConnection}
      </a>
    </Panel>
  );
}
