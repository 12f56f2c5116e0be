// Files for everyone in the room. A receiver accepts or declines before the first byte.

import { Call, type CallView, type FileTransfer } from '@leat/web';

const query = new URLSearchParams(location.search);
const main = document.querySelector('main');
const input = Object.assign(document.createElement('input'), { type: 'file' });
input.setAttribute('aria-label', 'File');
const list = document.createElement('ul');
main?.append(input, list);

function button(text: string, onclick: () => void) {
  return Object.assign(document.createElement('button'), { textContent: text, onclick });
}

function line(transfer: FileTransfer): HTMLElement {
  const item = document.createElement('li');
  const { id, direction, state, metadata } = transfer;
  item.append(`${metadata.name}: ${state} `);
  if (direction === 'receive' && state === 'offered') {
    item.append(
      button('Accept', () => void call.files.accept(id)),
      button('Decline', () => call.files.decline(id)),
    );
  }
  const file = call.files.result(id);
  if (file)
    item.append(
      Object.assign(document.createElement('a'), { href: URL.createObjectURL(file), download: file.name, textContent: 'Save' }),
    );
  return item;
}

let shown = '';
function onView({ fileTransfers }: CallView) {
  // The progress changes often; the list is drawn again only when a state has changed.
  const states = [...fileTransfers.values()].map(({ id, state }) => `${id} ${state}`).join();
  if (states === shown) return;
  shown = states;
  list.replaceChildren(...[...fileTransfers.values()].map(line));
}

const call = new Call(
  { room: query.get('room') ?? 'millpond', token: query.get('token') ?? undefined },
  { onView, onNotice: (message) => main?.append(message) },
);
input.addEventListener('change', () => {
  const file = input.files?.[0];
  if (!file) return;
  try {
    call.files.send(file, null);
  } catch (error) {
    // For example: no other person is in the room yet.
    main?.append(error instanceof Error ? error.message : String(error));
  }
});
call.join();
window.addEventListener('pagehide', () => call.abandon());
