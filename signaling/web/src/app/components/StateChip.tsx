import type { RecoveryStep, SessionState } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { type Messages, useT } from '../i18n';

type SessionText = keyof Messages['session'];

const texts: Record<SessionState, SessionText> = {
  Handshaking: 'handshaking',
  Negotiating: 'negotiating',
  Connected: 'connected',
  Reconnecting: 'reconnecting',
  Ended: 'ended',
};

const recoveryTexts: Record<RecoveryStep, SessionText> = {
  iceRestart: 'reconnecting',
  relay: 'reconnectingOverRelay',
  newTransports: 'reconnecting',
  rejoin: 'rejoining',
};

/** The state of the session, as a word and a colour. */
export function StateChip() {
  const t = useT();
  const session = useCallStore((state) => state.call?.session ?? 'Ended');
  const online = useCallStore((state) => state.call?.online ?? false);
  const waiting = useCallStore((state) => state.call?.waiting ?? false);
  const step = useCallStore((state) => state.call?.recovery?.step);
  // Media still flows; only joins, leaves and mute signs are delayed.
  const serverAway = session === 'Connected' && !online;
  const tone = session === 'Connected' && online ? 'good' : 'busy';
  const text: SessionText = serverAway
    ? 'serverAway'
    : waiting
      ? 'waiting'
      : session === 'Reconnecting' && step
        ? recoveryTexts[step]
        : texts[session];
  return (
    <output className={`chip ${tone}`} data-session={session} data-online={online} data-recovery={step}>
      <span className="dot" />
      {t.session[text]}
    </output>
  );
}
