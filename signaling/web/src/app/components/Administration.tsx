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

/** How long a person is banned, in seconds; 0: until the call ends. */
const BAN_TIMES = { call: 0, hour: 3_600 } as const;

type Question = 'remove' | 'ban' | 'host';

interface QuestionProps {
  peer: PeerView;
  question: Question;
  onEnd(): void;
}

/** The second step of what cannot be undone at once. */
function Confirm({ peer: { id, name }, question, onEnd }: QuestionProps) {
  const { admin: t } = useT();
  const { kickPeer, banPeer, setHost } = useCallStore.getState();
  const keep = <Action text={t.keep} label={t.keepPerson(name)} onClick={onEnd} />;
  const run = (done: Promise<void>) => void done.then(onEnd);
  switch (question) {
    case 'remove':
      return (
        <span className="actions">
          <span className="note">{t.removeQuestion(name)}</span>
          <Action text={t.remove} label={t.removeConfirmed(name)} tone="danger" onClick={() => run(kickPeer(id))} />
          {keep}
        </span>
      );
    case 'ban':
      return (
        <span className="actions">
          <span className="note">{t.banQuestion(name)}</span>
          {(['call', 'hour'] as const).map((time) => (
            <Action
              key={time}
              text={t.banTimes[time]}
              label={t.banConfirmed(name, t.banTimes[time])}
              tone="danger"
              onClick={() => run(banPeer(id, BAN_TIMES[time]))}
            />
          ))}
          {keep}
        </span>
      );
    case 'host':
      return (
        <span className="actions">
          <span className="note">{t.hostQuestion(name)}</span>
          <Action text={t.hostToo} label={t.hostTooPerson(name)} tone="good" onClick={() => run(setHost(id, true))} />
          <Action text={t.handOver} label={t.handOverTo(name)} onClick={() => run(setHost(id, true, true))} />
          <Action text={t.cancel} label={t.cancel} onClick={onEnd} />
        </span>
      );
  }
}

/** Mutes, removes or bans another person, or makes it a host. */
export function PeerActions({ peer }: { peer: PeerView }) {
  const { id, name, admin } = peer;
  const t = useT();
  const { mutePeer, setHost } = useCallStore.getState();
  const muted = useCallStore((state) => state.mutedPeers.has(id));
  const [question, setQuestion] = useState<Question | null>(null);
  if (question) return <Confirm peer={peer} question={question} onEnd={() => setQuestion(null)} />;
  return (
    <span className="actions">
      {muted ? (
        <Action text={t.admin.allowUnmute} label={t.admin.allowUnmutePerson(name)} onClick={() => void mutePeer(id, false)} />
      ) : (
        <Action text={t.admin.mute} label={t.admin.mutePerson(name)} onClick={() => void mutePeer(id, true)} />
      )}
      {admin ? (
        <Action text={t.admin.endHost} label={t.admin.endHostOf(name)} onClick={() => void setHost(id, false)} />
      ) : (
        <Action text={t.admin.makeHost} label={t.admin.makeHostPerson(name)} onClick={() => setQuestion('host')} />
      )}
      <Action text={t.admin.remove} label={t.admin.removePerson(name)} onClick={() => setQuestion('remove')} />
      <Action text={t.admin.ban} label={t.admin.banPerson(name)} onClick={() => setQuestion('ban')} />
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

/** Who may join the room, and its end. */
export function RoomSettings({ policy }: { policy: RoomPolicy }) {
  const t = useT();
  const { setRoom, clearBans, endCall } = useCallStore.getState();
  const [ending, setEnding] = useState(false);
  return (
    <section className="settings" aria-label={t.admin.settings}>
      <Switch label={t.admin.lock} on={policy.locked} onChange={(locked) => void setRoom({ locked })} />
      <Switch label={t.admin.waitingRoom} on={policy.waitingRoom} onChange={(waitingRoom) => void setRoom({ waitingRoom })} />
      {/* Clients that encrypt do not stop before their call ends, so this is only switched on. */}
      <Switch label={t.admin.encrypt} on={policy.encrypted} onChange={(encrypted) => encrypted && void setRoom({ encrypted })} />
      {policy.bans > 0 && (
        <span className="actions">
          <span className="note">{t.admin.bans(policy.bans)}</span>
          <Action text={t.admin.clearBans} label={t.admin.clearBans} onClick={() => void clearBans()} />
        </span>
      )}
      {ending ? (
        <span className="actions">
          <span className="note">{t.admin.endQuestion}</span>
          <Action text={t.admin.end} label={t.admin.endConfirmed} tone="danger" onClick={() => void endCall()} />
          <Action text={t.admin.cancel} label={t.admin.cancel} onClick={() => setEnding(false)} />
        </span>
      ) : (
        <Action text={t.admin.endForAll} label={t.admin.endForAll} onClick={() => setEnding(true)} />
      )}
    </section>
  );
}
