// A call: everyone in the room sees and hears each other. The address has `?room=` and, for a server with
// keys, `&token=`.

import { Call, type CallView, captureDevices } from '@leat/web';

const query = new URLSearchParams(location.search);
const tiles = new Map<string, HTMLMediaElement>();

/** One element for each track that is received. */
function onView({ peers }: CallView) {
  const tracks = new Map<string, MediaStreamTrack>();
  for (const { sources } of peers) for (const { id, track } of sources) if (track) tracks.set(id, track);
  for (const [id, tile] of tiles) {
    if (tracks.has(id)) continue;
    tile.remove();
    tiles.delete(id);
  }
  for (const [id, track] of tracks) {
    if (tiles.has(id)) continue;
    const tile = document.createElement(track.kind as 'audio' | 'video');
    Object.assign(tile, { autoplay: true, playsInline: true, srcObject: new MediaStream([track]) });
    document.querySelector('main')?.append(tile);
    tiles.set(id, tile);
  }
}

const call = new Call(
  { room: query.get('room') ?? 'millpond', token: query.get('token') ?? undefined },
  { onView, onNotice: (message) => document.querySelector('main')?.append(message) },
);
const { audio, video } = await captureDevices();
call.setSource('microphone', audio);
call.setSource('camera', video);
call.join();
window.addEventListener('pagehide', () => call.abandon());
