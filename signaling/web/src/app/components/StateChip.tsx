import type { SessionState } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';

const words: Record<SessionState, string> = {
  Handshaking: 'Joining…',
  Negotiating: 'Connecting…',
  Connected: 'Connected',
  Reconnecting: 'Reconnecting…',
  Ended: 'Ended',
};

/** Where the session stands, in a word and a colour. */
export function StateChip() {
  const session = useCallStore((state) => state.call?.session ?? 'Ended');
  const online = useCallStore((state) => state.call?.online ?? false);
  // People still see and hear each other; only joins, leaves and mute signs have to wait.
  const serverAway = session === 'Connected' && !online;
  const tone = session === 'Connected' && online ? 'good' : 'busy';
  return (
    <output className={`chip ${tone}`} data-session={session} data-online={online}>
      <span className="dot" />
      {serverAway ? 'Server away, call goes on' : words[session]}
    </output>
  );
}
