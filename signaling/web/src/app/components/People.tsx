import type { CallView, PeerView } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { type Messages, useT } from '../i18n';
import { hue, initials } from '../names';
import { PeerActions, RoomSettings, WaitingRoom } from './Administration';
import { Icon } from './Icon';
import { Panel } from './Panel';

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
  const t = useT();
  return (
    <li className={`person ${speaking ? 'speaking' : ''}`} data-peer={id} style={{ '--hue': hue(id) } as React.CSSProperties}>
      <span className="avatar small" aria-hidden="true">
        {initials(name)}
      </span>
      <span className="who">
        <span className="name">{name}</span>
        {note && <span className="note">{note}</span>}
      </span>
      <span
        className={`sign ${audible ? '' : 'off'}`}
        role="img"
        aria-label={audible ? t.people.microphoneOn : t.people.microphoneOff}
      >
        <Icon name={audible ? 'microphone' : 'microphoneOff'} />
      </span>
      <span className={`sign ${visible ? '' : 'off'}`} role="img" aria-label={visible ? t.people.cameraOn : t.people.cameraOff}>
        <Icon name={visible ? 'camera' : 'cameraOff'} />
      </span>
      {children}
    </li>
  );
}

/** The raised hand, the role, and what else there is to know. */
function notesOf(t: Messages, hand: number, isAdmin: boolean, rest: string): string {
  const notes = [hand > 0 ? t.conversation.handRaised(hand) : '', isAdmin ? t.people.host : '', rest];
  return notes.filter((note) => note !== '').join(' · ');
}

/** Raised hands first, in their order. */
function inOrderOfHands(peers: readonly PeerView[], hands: readonly string[]): readonly PeerView[] {
  const placeOf = ({ id }: PeerView) => (hands.includes(id) ? hands.indexOf(id) : hands.length);
  return peers.toSorted((a, b) => placeOf(a) - placeOf(b));
}

function noteOf({ people: t }: Messages, peer: PeerView): string {
  if (peer.away) return t.reconnecting;
  if (peer.sources.some(({ source, paused }) => source === 'screen' && !paused)) return t.sharing;
  return peer.presence === 'active' ? '' : t.presence[peer.presence];
}

/** The list of participants; for administrators also what they decide. */
export function People({ call }: { call: CallView }) {
  const t = useT();
  const togglePeople = useCallStore((state) => state.togglePeople);
  const sends = (sources: Iterable<{ source: string; paused: boolean }>, wanted: string) =>
    [...sources].some(({ source, paused }) => source === wanted && !paused);
  const { admin } = call.permissions;
  const handOf = (peerId: string) => call.hands.indexOf(peerId) + 1;
  return (
    <Panel label={t.people.panel} title={t.people.title} onClose={togglePeople}>
      {admin && <RoomSettings policy={call.policy} />}
      {admin && <WaitingRoom clients={call.waitingClients} />}
      <ul>
        <Person
          id={call.peerId}
          name={call.displayName || t.common.you}
          note={notesOf(t, handOf(call.peerId), admin, t.people.you)}
          audible={sends(call.local.values(), 'microphone')}
          visible={sends(call.local.values(), 'camera')}
          speaking={call.speaking.has(call.peerId)}
        />
        {inOrderOfHands(call.peers, call.hands).map((peer) => (
          <Person
            key={peer.id}
            id={peer.id}
            name={peer.name}
            note={notesOf(t, handOf(peer.id), peer.admin, noteOf(t, peer))}
            audible={sends(peer.sources, 'microphone')}
            visible={sends(peer.sources, 'camera')}
            speaking={call.speaking.has(peer.id)}
          >
            {admin && <PeerActions peer={peer} />}
          </Person>
        ))}
      </ul>
    </Panel>
  );
}
