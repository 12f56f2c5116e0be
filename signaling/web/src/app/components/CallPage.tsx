import { useCallStore } from '../../stores/useCallStore';
import { conversationActions } from '../conversation_actions';
import { fileActions } from '../file_actions';
import { useT } from '../i18n';
import { NARROW, useMediaQuery } from '../media_query';
import { Chat } from './Chat';
import { Controls } from './Controls';
import { DevicePanel } from './DevicePanel';
import { Files } from './Files';
import { copyInvitation, Grid, invitation } from './Grid';
import { Icon, Mark } from './Icon';
import { LayoutSwitch } from './LayoutSwitch';
import { People } from './People';
import { Preferences } from './Preferences';
import { Sounds } from './Sound';
import { StateChip } from './StateChip';
import { Statistics } from './Statistics';

/** Before the pictures: each may have a button. */
function focusControls(): void {
  document.querySelector<HTMLElement>('.controls button')?.focus();
}

/** The page during a call. */
export function CallPage() {
  const t = useT();
  const call = useCallStore((state) => state.call);
  const peopleOpen = useCallStore((state) => state.peopleOpen);
  const statisticsOpen = useCallStore((state) => state.statisticsOpen);
  const filesOpen = useCallStore((state) => state.filesOpen);
  const devicesOpen = useCallStore((state) => state.devicesOpen);
  const chatOpen = useCallStore((state) => state.chatOpen);
  const toggleChat = useCallStore((state) => state.toggleChat);
  const toggleFiles = useCallStore((state) => state.toggleFiles);
  const soundBlocked = useCallStore((state) => state.soundBlocked);
  const setSoundBlocked = useCallStore((state) => state.setSoundBlocked);
  const notify = useCallStore((state) => state.notify);
  const narrow = useMediaQuery(NARROW);
  if (!call) return null;
  const panelOpen = peopleOpen || statisticsOpen || filesOpen || devicesOpen || chatOpen;

  const copy = () => {
    copyInvitation(call.room).then(
      () => notify(t.call.linkCopied),
      () => notify(invitation(call.room)),
    );
  };

  return (
    <div className={`call ${panelOpen ? 'with-people' : ''}`}>
      <button type="button" className="skip" onClick={focusControls}>
        {t.call.skip}
      </button>
      <header className="bar">
        <span className="brand">
          <Mark />
          <span className="word">Leat</span>
        </span>
        <h1 className="room" title={call.room}>
          {call.room}
        </h1>
        {call.policy.locked && (
          <span className="locked" role="img" aria-label={t.call.locked} title={t.call.lockedHint}>
            <Icon name="lock" />
          </span>
        )}
        <button type="button" className="plain" aria-label={t.call.copyLinkToRoom} title={t.call.copyLink} onClick={copy}>
          <Icon name="link" />
        </button>
        <LayoutSwitch />
        <StateChip />
        <Preferences />
      </header>
      <main>
        {/* What the panel covers is not reached with Tab. */}
        <div className="pictures" inert={panelOpen && narrow}>
          <Grid />
          {soundBlocked && (
            <button type="button" className="primary unblock" onClick={() => setSoundBlocked(false)}>
              <Icon name="sound" /> {t.call.turnOnSound}
            </button>
          )}
        </div>
      </main>
      {peopleOpen && <People call={call} />}
      {chatOpen && <Chat actions={conversationActions} onClose={toggleChat} />}
      {statisticsOpen && <Statistics />}
      {filesOpen && <Files actions={fileActions} onClose={toggleFiles} />}
      {devicesOpen && <DevicePanel />}
      <Controls call={call} />
      <Sounds />
    </div>
  );
}
