// A signaling server on Node.js for the comparison: socket.io with its Redis adapter. It does what leat-signaling
// does for a client that joins a room and reports its presence: it verifies the token (HS256, the room of the
// token), writes the presence of the user to Redis with a lifetime, answers with the other peers of the room, and
// notifies them.
//
// One event, `signal`, whose argument is JSON as a binary attachment, so that both servers have the same framing:
//
//   {"join":{"room":"r","token":"…"}}  acknowledged with {"peers":[{"user":"u","state":"ACTIVE"}]} or {"error":"…"}
//   {"presence":"IDLE"}                acknowledged with {}
//   notifications: {"joined":"u"}, {"left":"u"}, {"presence":{"user":"u","state":"IDLE"}}
//
// Arguments: the port, and the port of Redis. The secret of tokens is in LEAT_SECRET.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import jwt from 'jsonwebtoken';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const [port, redisPort] = process.argv.slice(2);
const secret = process.env.LEAT_SECRET;
/** Lifetime of a presence entry without a further write, seconds. */
const LIFETIME_S = 90;
const STATES = new Set(['ACTIVE', 'IDLE', 'AWAY']);

const commands = createClient({ url: `redis://127.0.0.1:${redisPort}` });
const subscriber = commands.duplicate();
await Promise.all([commands.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { transports: ['websocket'], adapter: createAdapter(commands, subscriber) });
const encode = (value) => Buffer.from(JSON.stringify(value));
const keyOf = (room) => `presence:${room}`;

/** Writes the presence of a user, and lets the entries of the room live on. */
function write(room, user, state) {
  return commands.multi().hSet(keyOf(room), user, `${state} ${Date.now()}`).expire(keyOf(room), LIFETIME_S).exec();
}

async function join(socket, { room, token }) {
  const claims = jwt.verify(token, secret, { algorithms: ['HS256'] });
  if (claims.room !== room) throw new Error('the token is for another room');
  socket.data = { room, user: claims.sub };
  await write(room, claims.sub, 'ACTIVE');
  const entries = await commands.hGetAll(keyOf(room));
  await socket.join(room);
  socket.to(room).emit('signal', encode({ joined: claims.sub }));
  const others = Object.entries(entries).filter(([user]) => user !== claims.sub);
  return { peers: others.map(([user, entry]) => ({ user, state: entry.split(' ')[0] })) };
}

async function presence(socket, state) {
  const { room, user } = socket.data;
  if (room === undefined) throw new Error('the first request must be join');
  if (!STATES.has(state)) throw new Error('the state must be ACTIVE, IDLE or AWAY');
  await write(room, user, state);
  socket.to(room).emit('signal', encode({ presence: { user, state } }));
  return {};
}

io.on('connection', (socket) => {
  socket.on('signal', async (bytes, acknowledge) => {
    try {
      const message = JSON.parse(bytes);
      acknowledge(encode(message.join ? await join(socket, message.join) : await presence(socket, message.presence)));
    } catch (error) {
      acknowledge(encode({ error: error.message }));
    }
  });
  socket.on('disconnect', async () => {
    const { room, user } = socket.data;
    if (room === undefined) return;
    socket.to(room).emit('signal', encode({ left: user }));
    // Redis may be gone already when the measurement ends.
    await commands.hDel(keyOf(room), user).catch(() => undefined);
  });
});

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
http.listen(Number(port), '127.0.0.1');
