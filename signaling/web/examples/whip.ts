// Publishes camera and microphone by WHIP, and plays them by WHEP: no signal protocol, two HTTP requests.

import { captureDevices, playByWhep, publishByWhip } from '@leat/web';

const query = new URLSearchParams(location.search);
const room = encodeURIComponent(query.get('room') ?? 'millpond');
const token = query.get('token') ?? undefined;

const { audio, video } = await captureDevices();
const tracks = [audio, video].filter((track) => track !== null);
const publishing = await publishByWhip(tracks, { url: new URL(`/whip/${room}`, location.href), token });

const stream = new MediaStream();
const player = Object.assign(document.createElement('video'), {
  autoplay: true,
  playsInline: true,
  muted: true,
  srcObject: stream,
});
document.querySelector('main')?.append(player);
const playing = await playByWhep(['audio', 'video'], {
  url: new URL(`/whep/${room}`, location.href),
  token,
  onTrack: (track) => stream.addTrack(track),
});
window.addEventListener('pagehide', () => {
  void publishing.close();
  void playing.close();
});
