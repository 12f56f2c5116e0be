import { useEffect } from 'react';
import type { CallView, FileTransfer } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { useLayout } from '../../stores/useLayout';
import { useSettings } from '../../stores/useSettings';
import { conversationActions } from '../conversation_actions';
import { useT } from '../i18n';
import { Control } from './Control';
import { Reactions } from './Reactions';

/** Keyboard shortcuts, except while the focus is in a field or in a dialog. The user can switch letters off. */
function useShortcuts(keys: Record<string, () => void>) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (!useSettings.getState().shortcuts && event.key.length === 1) return;
      if (event.target instanceof Element && event.target.closest('input, textarea, select, dialog')) return;
      keys[event.key.toLowerCase()]?.();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [keys]);
}

/** The bar at the bottom. */
export function Controls({ call }: { call: CallView }) {
  const t = useT();
  const { toggleMicrophone, toggleCamera, toggleScreen, togglePeople, toggleStatistics } = useCallStore.getState();
  const { toggleFiles, toggleDevices, toggleChat, leave } = useCallStore.getState();
  const peopleOpen = useCallStore((state) => state.peopleOpen);
  const statisticsOpen = useCallStore((state) => state.statisticsOpen);
  const filesOpen = useCallStore((state) => state.filesOpen);
  const devicesOpen = useCallStore((state) => state.devicesOpen);
  const chatOpen = useCallStore((state) => state.chatOpen);
  const unread = useCallStore((state) => state.unread);
  const setLayout = useLayout((state) => state.setMode);
  const microphone = call.local.get('microphone');
  const camera = call.local.get('camera');
  const audible = Boolean(microphone && !microphone.paused);
  const visible = Boolean(camera && !camera.paused);
  const sharing = call.local.has('screen');
  const waiting = call.waitingClients.length;
  const isOffer = ({ direction, state }: FileTransfer) => direction === 'receive' && state === 'offered';
  const offers = [...call.fileTransfers.values()].filter(isOffer).length;
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === 'function';

  useShortcuts({
    m: () => void toggleMicrophone(),
    v: () => void toggleCamera(),
    p: togglePeople,
    s: toggleStatistics,
    f: toggleFiles,
    d: toggleDevices,
    c: toggleChat,
    h: () => conversationActions.setHand(!call.hands.includes(call.peerId)),
    l: () => setLayout(useLayout.getState().mode === 'grid' ? 'speaker' : 'grid'),
    escape: () => {
      if (peopleOpen) togglePeople();
      else if (statisticsOpen) toggleStatistics();
      else if (filesOpen) toggleFiles();
      else if (devicesOpen) toggleDevices();
      else if (chatOpen) toggleChat();
    },
  });

  return (
    <nav className="controls" aria-label={t.controls.bar}>
      <Control
        icon={audible ? 'microphone' : 'microphoneOff'}
        label={audible ? t.controls.mute : t.controls.unmute}
        shortcut="M"
        tone={audible ? undefined : 'off'}
        onClick={() => void toggleMicrophone()}
      />
      <Control
        icon={visible ? 'camera' : 'cameraOff'}
        label={visible ? t.controls.cameraOff : t.controls.cameraOn}
        shortcut="V"
        tone={visible ? undefined : 'off'}
        onClick={() => void toggleCamera()}
      />
      {canShare && (
        <Control
          icon="screen"
          label={sharing ? t.controls.stopSharing : t.controls.share}
          tone={sharing ? 'on' : undefined}
          onClick={() => void toggleScreen()}
        />
      )}
      <Reactions />
      <Control
        icon="chat"
        label={unread > 0 ? t.chat.unread(unread) : t.chat.title}
        shortcut="C"
        tone={chatOpen ? 'on' : undefined}
        pressed={chatOpen}
        badge={unread > 0 ? unread : undefined}
        alert
        onClick={toggleChat}
      />
      <Control
        icon="people"
        label={waiting > 0 ? t.controls.peopleWaiting(waiting) : t.controls.people}
        alert={waiting > 0}
        shortcut="P"
        tone={peopleOpen ? 'on' : undefined}
        pressed={peopleOpen}
        badge={call.peers.length + 1}
        onClick={togglePeople}
      />
      <Control
        icon="statistics"
        label={t.controls.statistics}
        shortcut="S"
        tone={statisticsOpen ? 'on' : undefined}
        pressed={statisticsOpen}
        onClick={toggleStatistics}
      />
      <Control
        icon="files"
        label={offers > 0 ? t.controls.filesOffered(offers) : t.controls.files}
        shortcut="F"
        tone={filesOpen ? 'on' : undefined}
        pressed={filesOpen}
        badge={offers > 0 ? offers : undefined}
        alert
        onClick={toggleFiles}
      />
      <Control
        icon="devices"
        label={t.devices.panel}
        shortcut="D"
        tone={devicesOpen ? 'on' : undefined}
        pressed={devicesOpen}
        onClick={toggleDevices}
      />
      <Control icon="leave" label={t.controls.leave} tone="danger" onClick={() => void leave()} />
    </nav>
  );
}
