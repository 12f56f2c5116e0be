import type { RecoveryStep, SessionState } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';

const words: Record<SessionState, string> = {
  Handshaking: 'Joining…',
  Negotiating: 'Connecting…',
  Connected: 'Connected',
  Reconnecting: 'Reconnecting…',
  Ended: 'Ended',
};

const recoveryWords: Record<RecoveryStep, string> = {
  iceRestart: 'Reconnecting…',
  relay: 'Reconnecting over a relay…',
  newTransports: 'Reconnecting…',
  rejoin: 'Joining again…',
};

/** The state of the session, as a word and a colour. */
export function StateChip() {
  const session = useCallStore((state) => state.call?.session ?? 'Ended');
  const online = useCallStore((state) => state.call?.online ?? false);
  const waiting = useCallStore((state) => state.call?.waiting ?? false);
  const step = useCallStore((state) => state.call?.recovery?.step);
  // Media still flows; only joins, leaves and mute signs are delayed.
  const serverAway = session === 'Connected' && !online;
  const tone = session === 'Connected' && online ? 'good' : 'busy';
  return (
    <output className={`chip ${tone}`} data-session={session} data-online={online} data-recovery={step}>
      <span className="dot" />
      {serverAway
        ? 'Server away, call continues'
        : waiting
          ? 'Waiting to be admitted…'
          : session === 'Reconnecting' && step
            ? recoveryWords[step]
            : words[session]}
    </output>
  );
}
