// The texts of the connection check in English. `en.ts` includes them.

import type { CheckName, CheckReason, CheckResult, CheckVerdict } from '../../sdk';

type Reasons = Record<CheckReason, string>;

const reasons: Reasons = {
  unreachable: 'The server does not answer. Check your network, and ask the operator whether the server runs.',
  noWebSocket: 'Your network blocks WebSockets, and messages take longer. Ask the operator of your proxy to allow them.',
  token: 'The server needs a valid token. Open the check with the link of your invitation, or enter the token below.',
  refused: 'The server does not let you into the room.',
  waitingRoom: 'The room has a waiting room, so that media cannot be checked in it. Use another room.',
  noEngine: 'The server has no media engine now. Try again in a minute, or ask the operator.',
  notOffered: 'The server does not offer this.',
  noPath: 'No answer from the media port of the server. A firewall on your side or at the server blocks it.',
  noTurn: 'The TURN server does not answer. A firewall blocks its port, or its certificate is not valid.',
  turnCredentials: 'The TURN server refuses the credentials. Compare the clocks of the servers, and their secret.',
  noPathFromTurn: 'The TURN server answers, but it does not reach the media engine. The operator has to check the TURN server.',
  notChecked: 'Not checked, because an earlier check failed.',
  muted: 'The device is open, and delivers nothing. Look for a switch at the device, or in the settings of the system.',
  blocked: 'The browser blocks the device for this page. Allow it with the icon at the address.',
  dismissed: 'The question of the browser was closed. Check again, and allow the device.',
  blockedBySystem: 'The operating system does not let the browser use the device. Allow it in the privacy settings.',
  notFound: 'There is no such device. Plug one in.',
  inUse: 'The device cannot be read: another program may be using it. Close that program.',
  unsuitable: 'No device meets the needs of the call.',
  insecure: 'Browsers allow devices only on https or localhost. Open this page with https.',
  unsupported: 'This browser does not support calls. Use a current version of Chrome, Firefox, Edge or Safari.',
  failed: 'It could not be started.',
};

const specific: Partial<Record<CheckName, Partial<Reasons>>> = {
  udp: {
    notOffered: 'The server offers no UDP. Calls go over TCP, and stop for a moment after each loss.',
    noPath: 'UDP is blocked: no answer from the media port. A firewall on your side or at the server has to permit UDP to it.',
  },
  tcp: {
    notOffered: 'The server offers no TCP for media. Clients whose network blocks UDP need its TURN server.',
    noPath: 'TCP to the media port is blocked. That matters only where UDP is blocked, too.',
  },
  turnUdp: { notOffered: 'The server gives no TURN server for UDP.' },
  turnTcp: { notOffered: 'The server gives no TURN server for TCP. Clients in networks that block UDP may not connect.' },
  turnTls: {
    notOffered: 'The server gives no TURN server for TLS. Clients in networks that permit only HTTPS cannot connect.',
  },
  microphone: { notFound: 'No microphone was found. Plug one in; without it the others do not hear you.' },
  camera: { notFound: 'No camera was found. Plug one in; without it the others do not see you.' },
};

const names: Record<CheckName, string> = {
  signaling: 'Signaling',
  room: 'Room',
  udp: 'Media over UDP',
  tcp: 'Media over TCP',
  turnUdp: 'TURN over UDP',
  turnTcp: 'TURN over TCP',
  turnTls: 'TURN over TLS',
  microphone: 'Microphone',
  camera: 'Camera',
};

const verdicts: Record<CheckVerdict, string> = {
  good: 'Calls work: media goes over UDP.',
  tcpOnly: 'Calls work over TCP only, and stop for a moment after each loss. UDP is blocked or not offered.',
  relayOnly: 'Calls work only through the TURN server. The media ports of the server are blocked.',
  noMedia: 'Calls do not work: no path for media to the server was found.',
  noSignaling: 'Calls do not work: the server does not answer.',
  notJoined: 'The server did not let you into a room, so that media was not checked.',
};

const statuses: Record<CheckResult['status'], string> = {
  waiting: 'waiting',
  running: 'checking…',
  ok: 'works',
  warning: 'works with limits',
  failed: 'does not work',
  skipped: 'not available',
};

export const check = {
  title: 'Connection check',
  lead: 'This page checks what a call needs: the server, the ways for media, and your devices.',
  start: 'Check',
  again: 'Check again',
  running: 'Checking…',
  copyText: 'Copy as text',
  copyJson: 'Copy as JSON',
  copied: 'Copied.',
  report: 'Report',
  roomHint: 'Only needed with a token for one room.',
  back: 'To the call',
  works: (roundTripMs: number | null) => (roundTripMs === null ? '' : `${roundTripMs} ms`),
  names,
  statuses,
  verdicts,
  reasons,
  specific,
};
