// `npm run picture`: a call of four for the README, at target/browser/readme.png. The cameras are drawn: a
// fake device gives every participant the same green disc.

import { Leat } from './lib/leat.js';
import { launch, Peer } from './lib/peers.js';
import { sleep } from './lib/wait.js';

const people = [
  { name: 'Ada Lovelace', wall: ['#3a2f4a', '#191422'], skin: '#d9a27e', hair: '#2d1b14', coat: '#5b7fa6' },
  { name: 'Grace Hopper', wall: ['#2c4748', '#10201f'], skin: '#e3b591', hair: '#8a8f92', coat: '#27364f' },
  { name: 'Katherine Johnson', wall: ['#54402b', '#22180e'], skin: '#8c5a3c', hair: '#1c1412', coat: '#a45c52' },
  { name: 'Mary Jackson', wall: ['#2f3d29', '#131b10'], skin: '#a06a48', hair: '#20150f', coat: '#c7a24e' },
];

/** Runs in the page, before the app: the camera becomes a drawing. */
function drawCamera({ wall, skin, hair, coat }) {
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
    const pen = canvas.getContext('2d');
    const ellipse = (x, y, rx, ry, colour) => {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
      pen.fill();
    };
    const draw = () => {
      const sway = Math.sin(performance.now() / 900) * 8;
      const light = pen.createLinearGradient(0, 0, 1280, 720);
      light.addColorStop(0, wall[0]);
      light.addColorStop(1, wall[1]);
      pen.fillStyle = light;
      pen.fillRect(0, 0, 1280, 720);
      ellipse(1010, 190, 250, 250, 'rgba(255, 236, 200, 0.07)');
      ellipse(640 + sway, 305, 150, 182, hair);
      ellipse(640 + sway / 2, 790, 330, 300, coat);
      pen.fillStyle = skin;
      pen.fillRect(590 + sway * 0.8, 420, 100, 110);
      ellipse(640 + sway * 0.65, 530, 74, 42, skin);
      ellipse(640 + sway, 340, 112, 142, skin);
      pen.fillStyle = hair;
      pen.beginPath();
      pen.ellipse(640 + sway, 262, 136, 96, 0, Math.PI, 2 * Math.PI);
      pen.fill();
    };
    setInterval(draw, 66);
    draw();
    const [video] = canvas.captureStream(15).getVideoTracks();
    const sound = await real({ audio: wanted.audio });
    return new MediaStream([...sound.getAudioTracks(), video]);
  };
}

const leat = await Leat.start();
const browser = await launch();
try {
  const peers = [];
  for (const person of people) {
    const peer = await Peer.open(browser, leat.url, { room: 'millpond', name: person.name, camera: [drawCamera, person] });
    await peer.connected();
    peers.push(peer);
  }
  const [first] = peers;
  await first.receives(people.slice(1).map(({ name }) => name));
  await peers[2].press('Mute microphone');
  // Until the estimate has risen and the picture is sharp, and no notice is shown.
  await sleep(8_000);
  await first.press('Who is here');
  await sleep(1_000);
  await first.screenshot('readme.png');
} finally {
  await browser.close().finally(() => leat.stop());
}
