// Messages over a data channel, without media. Each client opens a channel to all others.

import { Call } from '@leat/web';

const query = new URLSearchParams(location.search);
const list = document.createElement('ul');
const field = document.createElement('input');
field.setAttribute('aria-label', 'Message');
document.querySelector('main')?.append(list, field);

function show(from: string, text: string) {
  const line = document.createElement('li');
  line.textContent = `${from}: ${text}`;
  list.append(line);
}

const call = new Call(
  { room: query.get('room') ?? 'millpond', displayName: query.get('name') ?? 'Guest', token: query.get('token') ?? undefined },
  {
    onView: () => {},
    onNotice: (message) => show('notice', message),
    onData(from, label, data) {
      const name = call.store.getState().peers.get(from)?.name ?? from;
      if (label === 'chat' && typeof data === 'string') show(name, data);
    },
  },
);
const channel = call.openChannel('chat');
field.addEventListener('change', () => {
  // Without a peer, or before the channel is open, the text stays in the field.
  if (channel.state !== 'open') return;
  channel.send(field.value);
  show('me', field.value);
  field.value = '';
});
call.join();
window.addEventListener('pagehide', () => call.abandon());
