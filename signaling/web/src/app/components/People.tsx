import type { CallView, PeerView } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { hue, initials } from '../names';
import { PeerActions, RoomSettings, WaitingRoom } from './Administration';
import { Icon } from './Icon';

interface PersonProps {
  id: string;
  name: string;
  note: string;
  audible: boolean;
  visible: boolean;
  speaking: boolean;
  children?: React.ReactNode;
}

function Person({ id, name, note, audible, visible, speaking, children }: PersonProps) {
  return (
    <li className={`person ${speaking ? 'speaking' : ''}`} data-peer={id} style={{ '--hue': hue(id) } as React.CSSProperties}>
      <span className="avatar small" aria-hidden="true">
        {initials(name)}
      </span>
      <span className="who">
        <span className="name">{name}</span>
        {note && <span className="note">{note}</span>}
      </span>
      <span className={`sign ${audible ? '' : 'off'}`} role="img" aria-label={audible ? 'microphone on' : 'microphone off'}>
        <Icon name={audible ? 'microphone' : 'microphoneOff'} />
      </span>
      <span className={`sign ${visible ? '' : 'off'}`} role="img" aria-label={visible ? 'camera on' : 'camera off'}>
        <Icon name={visible ? 'camera' : 'cameraOff'} />
      </span>
      {children}
    </li>
  );
}

function noteOf(peer: PeerView): string {
  if (peer.away) return 'reconnecting';
  if (peer.sources.some(({ source, paused }) => source === 'screen' && !paused)) return 'sharing a screen';
  return peer.presence === 'active' ? '' : peer.presence;
}

/** The list of participants; for administrators also what they decide. */
export function People({ call }: { call: CallView }) {
  const togglePeople = useCallStore((state) => state.togglePeople);
  const sends = (sources: Iterable<{ source: string; paused: boolean }>, wanted: string) =>
    [...sources].some(({ source, paused }) => source === wanted && !paused);
  const { admin } = call.permissions;
  return (
    <aside className="people" aria-label="Participants">
      <header>
        <h2>Who is here</h2>
        <button type="button" className="plain" aria-label="Close" onClick={togglePeople}>
          <Icon name="close" />
        </button>
      </header>
      {admin && <RoomSettings policy={call.policy} />}
      {admin && <WaitingRoom clients={call.waitingClients} />}
      <ul>
        <Person
          id={call.peerId}
          name={call.displayName || 'You'}
          note="you"
          audible={sends(call.local.values(), 'microphone')}
          visible={sends(call.local.values(), 'camera')}
          speaking={call.speaking.has(call.peerId)}
        />
        {call.peers.map((peer) => (
          <Person
            key={peer.id}
            id={peer.id}
            name={peer.name}
            note={noteOf(peer)}
            audible={sends(peer.sources, 'microphone')}
            visible={sends(peer.sources, 'camera')}
            speaking={call.speaking.has(peer.id)}
          >
            {admin && <PeerActions peer={peer} />}
          </Person>
        ))}
      </ul>
    </aside>
  );
}
