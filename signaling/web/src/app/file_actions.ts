// What the panel of files does: the file transfer of the running call, and the download of a received file.

import type { CallFiles } from '../sdk';
import { failureOf } from '../stores/failure';
import { currentCall, useCallStore } from '../stores/useCallStore';
import type { FileActions } from './components/Files';

/** A download has read its object URL long before. */
const URL_LIFETIME_MS = 60_000;

/** The user reads what is refused. */
async function run(act: (files: CallFiles) => unknown): Promise<void> {
  const files = currentCall()?.files;
  if (!files) return;
  try {
    await act(files);
  } catch (error) {
    useCallStore.getState().notify({ about: 'failure', failure: failureOf(error) });
  }
}

export function download(file: File): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), URL_LIFETIME_MS);
}

export const fileActions: FileActions = {
  send: (chosen, to) => {
    for (const file of chosen) void run((files) => files.send(file, to));
  },
  accept: (id) => void run((files) => files.accept(id)),
  decline: (id) => void run((files) => files.decline(id)),
  pause: (id) => void run((files) => files.pause(id)),
  resume: (id) => void run((files) => files.resume(id)),
  cancel: (id) => void run((files) => files.cancel(id)),
  save: (id) =>
    void run((files) => {
      const file = files.result(id);
      if (file) download(file);
    }),
  remove: (id) => void run((files) => files.remove(id)),
};
