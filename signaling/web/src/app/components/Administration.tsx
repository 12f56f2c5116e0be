// What administrators see in the list of participants.

import { useState } from 'react';
import type { PeerView, RoomPolicy, WaitingClient } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { useT } from '../i18n';
import { hue, initials } from '../names';

interface ActionProps {
  /** Visible; `label` also names the person. */
  text: string;
  label: string;
  tone?: 'danger' | 'good';
  onClick(): void;
}

function Action({ text, label, tone, onClick }: ActionProps) {
  return (
    <button type="button" className={`action ${tone ?? ''}`} aria-label={label} onClick={onClick}>
      {text}
    </button>
  );
}

/** Mutes or removes another person. A removal has a second step, because the person cannot join again. */
export function PeerActions({ peer: { id, name } }: { peer: PeerView }) {
  const t = useT();
  const { mutePeer, kickPeer } = useCallStore.getState();
  const muted = useCallStore((state) => state.mutedPeers.has(id));
  const [removing, setRemoving] = useState(false);
  if (removing) {
    return (
      <span className="actions">
        <span className="note">{t.admin.removeQuestion(name)}</span>
        <Action text={t.admin.remove} label={t.admin.removeConfirmed(name)} tone="danger" onClick={() => void kickPeer(id)} />
        <Action text={t.admin.keep} label={t.admin.keepPerson(name)} onClick={() => setRemoving(false)} />
      </span>
    );
  }
  return (
    <span className="actions">
      {muted ? (
        <Action text={t.admin.allowUnmute} label={t.admin.allowUnmutePerson(name)} onClick={() => void mutePeer(id, false)} />
      ) : (
        <Action text={t.admin.mute} label={t.admin.mutePerson(name)} onClick={() => void mutePeer(id, true)} />
      )}
      <Action text={t.admin.remove} label={t.admin.removePerson(name)} onClick={() => setRemoving(true)} />
    </span>
  );
}

/** The clients that wait to be admitted. */
export function WaitingRoom({ clients }: { clients: readonly WaitingClient[] }) {
  const t = useT();
  const { admit, deny } = useCallStore.getState();
  if (clients.length === 0) return null;
  return (
    <section className="waitingroom" aria-label={t.admin.waitingRoom}>
      <h3>{t.admin.waiting}</h3>
      <ul>
        {clients.map(({ id, name }) => (
          <li key={id} className="person" style={{ '--hue': hue(id) } as React.CSSProperties}>
            <span className="avatar small" aria-hidden="true">
              {initials(name)}
            </span>
            <span className="who">
              <span className="name">{name}</span>
            </span>
            <span className="actions">
              <Action text={t.admin.admit} label={t.admin.admitPerson(name)} tone="good" onClick={() => void admit(id)} />
              <Action text={t.admin.deny} label={t.admin.denyPerson(name)} onClick={() => void deny(id)} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

interface SwitchProps {
  label: string;
  /** As the server reports it: it changes with the answer, not with the click. */
  on: boolean;
  onChange(on: boolean): void;
}

function Switch({ label, on, onChange }: SwitchProps) {
  return (
    <button type="button" role="switch" aria-checked={on} className="switch" onClick={() => onChange(!on)}>
      {label}
    </button>
  );
}

/** Who may join the room. */
export function RoomSettings({ policy }: { policy: RoomPolicy }) {
  const t = useT();
  const { setRoom } = useCallStore.getState();
  return (
    <section className="settings" aria-label={t.admin.settings}>
      <Switch label={t.admin.lock} on={policy.locked} onChange={(locked) => void setRoom({ locked })} />
      <Switch label={t.admin.waitingRoom} on={policy.waitingRoom} onChange={(waitingRoom) => void setRoom({ waitingRoom })} />
      {/* Clients that encrypt do not stop before their call ends, so this is only switched on. */}
      <Switch label={t.admin.encrypt} on={policy.encrypted} onChange={(encrypted) => encrypted && void setRoom({ encrypted })} />
    </section>
  );
}
