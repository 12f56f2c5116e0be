// The files of a call: offers, transfers and their progress, and an area to drop files.

import { useId, useState } from 'react';
import type { FileTransfer } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { progressText, receiversText, sizeText, stateText } from '../file_texts';
import { Icon } from './Icon';

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
  text: string;
  tone?: 'good' | 'danger';
  run(id: string): void;
}

/** What the user can do with a transfer now. */
function stepsOf({ direction, state }: FileTransfer, actions: FileActions): Step[] {
  const cancel: Step = { text: 'Cancel', run: actions.cancel };
  switch (state) {
    case 'offered':
      if (direction === 'send') return [cancel];
      return [
        { text: 'Accept', tone: 'good', run: actions.accept },
        { text: 'Decline', run: actions.decline },
      ];
    case 'active':
      return [{ text: 'Pause', run: actions.pause }, cancel];
    case 'paused':
      return [{ text: 'Resume', run: actions.resume }, cancel];
    case 'done': {
      const save: Step = { text: 'Save', tone: 'good', run: actions.save };
      return [...(direction === 'receive' ? [save] : []), { text: 'Remove', run: actions.remove }];
    }
    default:
      return [{ text: 'Remove', run: actions.remove }];
  }
}

interface FileItemProps {
  transfer: FileTransfer;
  actions: FileActions;
  nameOf(peerId: string): string;
}

function FileItem({ transfer, actions, nameOf }: FileItemProps) {
  const { id, metadata, state, bytes } = transfer;
  const isRunning = state === 'active' || state === 'paused';
  const receivers = receiversText(transfer, nameOf);
  return (
    <li className={`file ${state === 'failed' ? 'failed' : ''}`} data-transfer={id}>
      <span className="name" dir="auto">
        {metadata.name}
      </span>
      <span className="note" role="status">
        {stateText(transfer, nameOf)}
      </span>
      {isRunning ? (
        <>
          <progress max={Math.max(1, metadata.size)} value={bytes} aria-label={`Progress of ${metadata.name}`} />
          <span className="note">{progressText(transfer)}</span>
        </>
      ) : (
        <span className="note">{sizeText(metadata.size)}</span>
      )}
      {receivers && <span className="note">{receivers}</span>}
      <span className="actions">
        {stepsOf(transfer, actions).map(({ text, tone, run }) => (
          <button
            key={text}
            type="button"
            className={`action ${tone ?? ''}`}
            aria-label={`${text} ${metadata.name}`}
            onClick={() => run(id)}
          >
            {text}
          </button>
        ))}
      </span>
    </li>
  );
}

/** Where files are dropped or chosen, and for which person. */
function FileDrop({ actions }: { actions: FileActions }) {
  const peers = useCallStore((state) => state.peers);
  const [receiver, setReceiver] = useState('');
  const [isOver, setOver] = useState(false);
  const inputId = useId();
  // The chosen person may have left.
  const to = peers.has(receiver) ? receiver : null;
  const send = (files: FileList | null) => {
    if (files && files.length > 0) actions.send([...files], to);
  };
  return (
    <section
      className={`drop ${isOver ? 'over' : ''}`}
      aria-label="Send files"
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
        To{' '}
        <select value={to ?? ''} onChange={(event) => setReceiver(event.target.value)}>
          <option value="">everyone</option>
          {[...peers.values()].map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label htmlFor={inputId} className="choose">
        Drop files here, or choose them
      </label>
      <input
        id={inputId}
        type="file"
        multiple
        disabled={peers.size === 0}
        onChange={(event) => {
          send(event.target.files);
          // The same file can be chosen again.
          event.target.value = '';
        }}
      />
    </section>
  );
}

/** The panel. The newest transfer is first. */
export function Files({ actions, onClose }: { actions: FileActions; onClose(): void }) {
  const transfers = useCallStore((state) => state.fileTransfers);
  const peers = useCallStore((state) => state.peers);
  const nameOf = (peerId: string) => peers.get(peerId)?.name ?? 'a person who left';
  return (
    <aside className="people files" aria-label="Files">
      <header>
        <h2>Files</h2>
        <button type="button" className="plain" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <FileDrop actions={actions} />
      <ul>
        {[...transfers.values()].reverse().map((transfer) => (
          <FileItem key={transfer.id} transfer={transfer} actions={actions} nameOf={nameOf} />
        ))}
      </ul>
    </aside>
  );
}
