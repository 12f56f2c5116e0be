import { useCallStore } from '../../stores/useCallStore';
import { useT } from '../i18n';
import { noticeText } from '../notice_texts';
import { DeviceNotices } from './DeviceNotices';
import { Icon } from './Icon';

/** Short messages in a corner, which disappear after some seconds. */
export function Notices() {
  const t = useT();
  const notices = useCallStore((state) => state.notices);
  const dismiss = useCallStore((state) => state.dismiss);
  return (
    <div className="notices" role="status" aria-live="polite">
      {notices.map(({ id, content }) => (
        <div key={id} className="notice">
          <span>{noticeText(t, content)}</span>
          <button type="button" className="plain" aria-label={t.common.dismiss} onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
      <DeviceNotices />
    </div>
  );
}
