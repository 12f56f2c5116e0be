import type { SessionState } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';

const words: Record<SessionState, string> = {
  Handshaking: 'Joining…',
  Negotiating: 'Connecting…',
  Connected: 'Connected',
  Reconnecting: 'Reconnecting…',
  Ended: 'Ended',
};

/** The state of the session, as a word and a colour. */
export function StateChip() {
  const session = useCallStore((state) => state.call?.session ?? 'Ended');
  const online = useCallStore((state) => state.call?.online ?? false);
  const waiting = useCallStore((state) => state.call?.waiting ?? false);
  // Media still flows; only joins, leaves and mute signs are delayed.
  const serverAway = session === 'Connected' && !online;
  const tone = session === 'Connected' && online ? 'good' : 'busy';
  return (
    <output className={`chip ${tone}`} data-session={session} data-online={online}>
      <span className="dot" />
      {serverAway ? 'Server away, call continues' : waiting ? 'Waiting to be admitted…' : words[session]}
    </output>
  );
}
