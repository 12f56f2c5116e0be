// The encryption with one participant: a sign on the tile, and behind it the safety number.

import { useRef } from 'react';
import type { PeerEncryption } from '../../sdk';
import { useEncryption } from '../../stores/selectors';
import { useCallStore } from '../../stores/useCallStore';
import { type Messages, useT } from '../i18n';
import { Icon } from './Icon';

function explanation({ encryption: t }: Messages, { trust, state }: PeerEncryption, name: string): string {
  if (state === 'wrongKey') return t.wrongKey(name);
  if (trust === null) return t.noKey(name);
  if (trust === 'verified') return t.verified;
  if (trust === 'changed') return t.changed(name);
  return t.compare;
}

export function Padlock({ peerId, name }: { peerId: string; name: string }) {
  const t = useT();
  const encryption = useEncryption(peerId);
  const confirm = useCallStore((state) => state.confirmSafetyNumber);
  const dialog = useRef<HTMLDialogElement>(null);
  if (!encryption) return null;
  const { state, safetyNumber, trust } = encryption;
  const changed = trust === 'changed';
  const signs = [t.encryption.states[state]];
  if (trust === 'verified' || changed) signs.push(t.encryption.trust[trust]);
  const label = `${name}: ${signs.join(', ')}`;
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
        {state !== 'encrypted' && <span className="away">{t.encryption.states[state]}</span>}
        {changed && state === 'encrypted' && <span className="away">{t.encryption.trust.changed}</span>}
      </button>
      <dialog ref={dialog} className="dialog safety" aria-label={t.encryption.title(name)}>
        <h2>{t.encryption.title(name)}</h2>
        {safetyNumber && (
          <p className="number">
            {safetyNumber.split(' ').map((group, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: two groups may be equal, and none moves.
              <span key={index}>{group}</span>
            ))}
          </p>
        )}
        <p>{explanation(t, encryption, name)}</p>
        <p className="actions">
          {safetyNumber && trust !== 'verified' && (
            <button type="button" className="action good" onClick={() => confirm(peerId)}>
              {t.encryption.numbersAreEqual}
            </button>
          )}
          <button type="button" className="action" onClick={() => dialog.current?.close()}>
            {t.common.close}
          </button>
        </p>
      </dialog>
    </>
  );
}
