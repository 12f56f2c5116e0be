// The files of a call: offers, transfers and their progress, and an area to drop files.

import { useState } from 'react';
import type { FileTransfer } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { progressText, receiversText, sizeText, stateText } from '../file_texts';
import { type Messages, useT } from '../i18n';
import { Panel } from './Panel';

export interface FileActions {
  /** Null: to everyone in the room. */
  send(files: readonly File[], to: string | null): void;
  accept(id: string): void;
  decline(id: string): void;
  pause(id: string): void;
  resume(id: string): void;
  cancel(id: string): void;
  /** Downloads a received file. */
  save(id: string): void;
  /** Takes a transfer that has ended off the list. */
  remove(id: string): void;
}

interface Step {
  step: keyof Messages['files']['steps'];
  tone?: 'good' | 'danger';
  run(id: string): void;
}

/** What the user can do with a transfer now. */
function stepsOf({ direction, state }: FileTransfer, actions: FileActions): Step[] {
  const cancel: Step = { step: 'cancel', run: actions.cancel };
  switch (state) {
    case 'offered':
      if (direction === 'send') return [cancel];
      return [
        { step: 'accept', tone: 'good', run: actions.accept },
        { step: 'decline', run: actions.decline },
      ];
    case 'active':
      return [{ step: 'pause', run: actions.pause }, cancel];
    case 'paused':
      return [{ step: 'resume', run: actions.resume }, cancel];
    case 'done': {
      const save: Step = { step: 'save', tone: 'good', run: actions.save };
      return [...(direction === 'receive' ? [save] : []), { step: 'remove', run: actions.remove }];
    }
    default:
      return [{ step: 'remove', run: actions.remove }];
  }
}

interface FileItemProps {
  transfer: FileTransfer;
  actions: FileActions;
  nameOf(peerId: string): string;
}

function FileItem({ transfer, actions, nameOf }: FileItemProps) {
  const t = useT();
  const { id, metadata, state, bytes } = transfer;
  const isRunning = state === 'active' || state === 'paused';
  const receivers = receiversText(t, transfer, nameOf);
  return (
    <li className={`file ${state === 'failed' ? 'failed' : ''}`} data-transfer={id}>
      <span className="name" dir="auto">
        {metadata.name}
      </span>
      <span className="note" role="status">
        {stateText(t, transfer, nameOf)}
      </span>
      {isRunning ? (
        <>
          <progress max={Math.max(1, metadata.size)} value={bytes} aria-label={t.files.progressOf(metadata.name)} />
          <span className="note">{progressText(t, transfer)}</span>
        </>
      ) : (
        <span className="note">{sizeText(t, metadata.size)}</span>
      )}
      {receivers && <span className="note">{receivers}</span>}
      <span className="actions">
        {stepsOf(transfer, actions).map(({ step, tone, run }) => (
          <button
            key={step}
            type="button"
            className={`action ${tone ?? ''}`}
            aria-label={t.files.stepOf(t.files.steps[step], metadata.name)}
            onClick={() => run(id)}
          >
            {t.files.steps[step]}
          </button>
        ))}
      </span>
    </li>
  );
}

/** Where files are dropped or chosen, and for which person. */
function FileDrop({ actions }: { actions: FileActions }) {
  const t = useT();
  const peers = useCallStore((state) => state.peers);
  const [receiver, setReceiver] = useState('');
  const [isOver, setOver] = useState(false);
  // The chosen person may have left.
  const to = peers.has(receiver) ? receiver : null;
  const send = (files: FileList | null) => {
    if (files && files.length > 0) actions.send([...files], to);
  };
  return (
    <section
      className={`drop ${isOver ? 'over' : ''}`}
      aria-label={t.files.send}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        send(event.dataTransfer.files);
      }}
    >
      <label>
        {t.files.to}{' '}
        <select value={to ?? ''} onChange={(event) => setReceiver(event.target.value)}>
          <option value="">{t.files.everyone}</option>
          {[...peers.values()].map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {/* The input is transparent over the text: its own texts are in the language of the browser. */}
      <label className="choose">
        <span>{t.files.drop}</span>
        <input
          type="file"
          multiple
          disabled={peers.size === 0}
          onChange={(event) => {
            send(event.target.files);
            // The same file can be chosen again.
            event.target.value = '';
          }}
        />
      </label>
    </section>
  );
}

/** The panel. The newest transfer is first. */
export function Files({ actions, onClose }: { actions: FileActions; onClose(): void }) {
  const t = useT();
  const transfers = useCallStore((state) => state.fileTransfers);
  const peers = useCallStore((state) => state.peers);
  const nameOf = (peerId: string) => peers.get(peerId)?.name ?? t.files.left;
  return (
    <Panel className="files" title={t.controls.files} onClose={onClose}>
      <FileDrop actions={actions} />
      <ul>
        {[...transfers.values()].reverse().map((transfer) => (
          <FileItem key={transfer.id} transfer={transfer} actions={actions} nameOf={nameOf} />
        ))}
      </ul>
    </Panel>
  );
}
