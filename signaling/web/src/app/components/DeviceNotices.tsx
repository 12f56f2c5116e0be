import { useCallStore } from '../../stores/useCallStore';
import { browserFamily } from '../browser';
import { deviceEventText } from '../device_texts';
import { useT } from '../i18n';
import { Icon } from './Icon';

/** What has happened to devices. It stays until the user dismisses it, because it often needs an action. */
export function DeviceNotices() {
  const t = useT();
  const inCall = useCallStore((state) => state.call !== null);
  const notices = useCallStore((state) => state.devices.notices);
  const dismiss = useCallStore((state) => state.dismissDeviceNotice);
  const switchTo = useCallStore((state) => state.switchTo);
  const browser = browserFamily(navigator.userAgent);
  // Before a call, the preview shows failures.
  const shown = notices.filter(({ on }) => inCall || on !== 'failed');
  return shown.map((notice) => (
    <div key={notice.id} className="notice" data-device={notice.on}>
      <span>{deviceEventText(t, notice, browser)}</span>
      {notice.on === 'added' && (
        <button
          type="button"
          className="linkish"
          onClick={() => {
            dismiss(notice.id);
            void switchTo(notice.devices);
          }}
        >
          {t.devices.use}
        </button>
      )}
      <button type="button" className="plain" aria-label={t.common.dismiss} onClick={() => dismiss(notice.id)}>
        <Icon name="close" />
      </button>
    </div>
  ));
}
