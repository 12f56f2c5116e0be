// The encryption with one participant: a sign on the tile, and behind it the safety number.

import { useRef } from 'react';
import type { EncryptionState, PeerEncryption } from '../../sdk';
import { useEncryption } from '../../stores/selectors';
import { useCallStore } from '../../stores/useCallStore';
import { Icon } from './Icon';

const words: Record<EncryptionState, string> = {
  encrypted: 'end-to-end encrypted',
  waitingForKey: 'waiting for the key',
  wrongKey: 'wrong key',
};

function explanation({ trust, state }: PeerEncryption, name: string): string {
  if (state === 'wrongKey') return `What arrives from ${name} was not encrypted with the key of ${name}, so it is not shown.`;
  if (trust === null)
    return `No key of ${name} has arrived yet, or ${name} does not encrypt. Nothing of ${name} is shown until then.`;
  if (trust === 'verified') return `You have compared this number with ${name} before.`;
  if (trust === 'changed') return `${name} has another number than before: another device, a new browser, or another person.`;
  return `Read the number to each other. If it is the same for both, only the two of you have the keys.`;
}

export function Padlock({ peerId, name }: { peerId: string; name: string }) {
  const encryption = useEncryption(peerId);
  const confirm = useCallStore((state) => state.confirmSafetyNumber);
  const dialog = useRef<HTMLDialogElement>(null);
  if (!encryption) return null;
  const { state, safetyNumber, trust } = encryption;
  const changed = trust === 'changed';
  const label = `${name}: ${words[state]}${trust === 'verified' ? ', verified' : changed ? ', the key has changed' : ''}`;
  return (
    <>
      <button
        type="button"
        className={`padlock ${state} ${trust ?? ''}`}
        aria-label={label}
        title={label}
        onClick={() => dialog.current?.showModal()}
      >
        <Icon name="lock" />
        {state !== 'encrypted' && <span className="away">{words[state]}</span>}
        {changed && state === 'encrypted' && <span className="away">key changed</span>}
      </button>
      <dialog ref={dialog} className="safety" aria-label={`Encryption with ${name}`}>
        <h2>Encryption with {name}</h2>
        {safetyNumber && (
          <p className="number">
            {safetyNumber.split(' ').map((group, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: two groups may be equal, and none moves.
              <span key={index}>{group}</span>
            ))}
          </p>
        )}
        <p>{explanation(encryption, name)}</p>
        <p className="actions">
          {safetyNumber && trust !== 'verified' && (
            <button type="button" className="action good" onClick={() => confirm(peerId)}>
              The numbers are the same
            </button>
          )}
          <button type="button" className="action" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </p>
      </dialog>
    </>
  );
}
