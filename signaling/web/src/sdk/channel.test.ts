import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { expect, test, vi } from 'vitest';
import { closedPauseMs, SignalChannel } from './channel';

test('the pause after the server has closed the connection doubles up to a bound', () => {
  expect([1, 2, 3, 10, 2_000].map((closures) => closedPauseMs(closures, 0))).toEqual([500, 1_000, 2_000, 15_000, 15_000]);
  expect(closedPauseMs(1, 1)).toBe(750);
});

test('a server that closes every connection is not connected to again at once', async () => {
  const http = createServer();
  const io = new Server(http);
  const connected: number[] = [];
  io.on('connection', (socket) => {
    connected.push(performance.now());
    socket.disconnect();
  });
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  const events = { onUp: vi.fn(), onDown: vi.fn(), onNotification: vi.fn(), onMalformed: vi.fn() };
  const channel = new SignalChannel(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, events);
  try {
    channel.open();
    await vi.waitFor(() => expect(connected.length).toBe(3), { timeout: 30_000 });
    const pauses = connected.slice(1).map((at, index) => at - (connected[index] ?? at));
    // Timers and the clock round differently.
    expect(pauses[0]).toBeGreaterThan(495);
    expect(pauses[1]).toBeGreaterThan(995);
    // close() ends the pause, too.
    channel.close();
    await new Promise((done) => setTimeout(done, 100));
    expect(connected.length).toBe(3);
  } finally {
    channel.close();
    await io.close();
  }
});
