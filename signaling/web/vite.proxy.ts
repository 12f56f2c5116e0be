// The paths that development servers forward to the signaling server.

const signaling = process.env.LEAT_SIGNALING ?? 'http://127.0.0.1:7080';

export const proxy = {
  '/socket.io': { target: signaling, ws: true },
  '/client-logs': signaling,
  '/leave': signaling,
  // `/whip` itself is a page of the app.
  '/whip/': signaling,
  '/whep/': signaling,
};
