// Chat, hands and reactions of a call.

import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ErrorCode, GrantedPermissionsSchema, type JoinRoom, PeerSchema } from '../gen/signal_pb';
import { Call } from './call';
import type { ChatMessage } from './conversation/conversation';
import { ROOM_TOPIC } from './conversation/message_link';
import { type Content, decode, encode } from './conversation/wire';
import { FakeServer, fakeDevice, refusal } from './testing';
import type { CallView } from './view';

const SOON = { timeout: 30_000, interval: 5 };
const soon = (check: () => unknown) => vi.waitFor(check, SOON);

let server: FakeServer;
let call: Call;
let view: CallView;
let heard: ChatMessage[];
let number: bigint;

beforeEach(async () => {
  server = new FakeServer();
  heard = [];
  number = 0n;
  call = new Call(
    { room: 'millpond', displayName: 'Ada', url: await server.listen(), makeDevice: () => fakeDevice(), requestTimeoutMs: 1_000 },
    {
      onView: (now) => {
        view = now;
      },
      onNotice: () => undefined,
      onChatMessage: (message) => heard.push(message),
    },
  );
});

afterEach(async () => {
  await call.leave();
  await server.close();
});

const peer = (id: string) => create(PeerSchema, { id, user: id, displayName: id });

async function inCall(...peers: string[]): Promise<void> {
  server.joined = { peers: peers.map(peer) };
  call.join();
  await soon(() => expect(view.online).toBe(true));
}

/** Another client sends a message. */
function from(peerId: string, content: Content, to: string[] = [], no = ++number): void {
  const body = encode({ number: no, to, content });
  server.tell({ case: 'peerMessage', value: { peerId, topic: ROOM_TOPIC, body, direct: to.length > 0 } });
}

/** The messages that this client has sent. */
const sent = () =>
  server.asked.flatMap((payload) => {
    if (payload.case !== 'sendMessage' || payload.value.topic !== ROOM_TOPIC) return [];
    const message = decode(payload.value.body);
    return message ? [{ to: payload.value.to, inside: message.to, content: message.content }] : [];
  });

const texts = () => view.chat.map(({ name, text, toName, state }) => [name, text, toName, state]);

describe('chat', () => {
  test('goes to the room or to one peer, and the list has both directions in their order', async () => {
    await inCall('bob', 'eve');
    from('bob', { kind: 'chat', text: 'hello' });
    await soon(() => expect(view.chat).toHaveLength(1));
    call.chat.send(' hi all ');
    call.chat.send('hi Bob', 'bob');
    expect(texts().at(-1)).toEqual(['Ada', 'hi Bob', 'bob', 'sending']);
    await soon(() => expect(texts().at(-1)?.at(-1)).toBe('sent'));
    from('bob', { kind: 'chat', text: 'just you' }, ['me']);
    // Not for this client, whatever the server says.
    from('eve', { kind: 'chat', text: 'a secret' }, ['bob']);
    await soon(() => expect(view.chat).toHaveLength(4));
    expect(texts()).toEqual([
      ['bob', 'hello', null, 'sent'],
      ['Ada', 'hi all', null, 'sent'],
      ['Ada', 'hi Bob', 'bob', 'sent'],
      ['bob', 'just you', 'Ada', 'sent'],
    ]);
    expect(sent()).toEqual([
      { to: [], inside: [], content: { kind: 'chat', text: 'hi all' } },
      { to: ['bob'], inside: ['bob'], content: { kind: 'chat', text: 'hi Bob' } },
    ]);
    expect(heard.map(({ text }) => text)).toEqual(['hello', 'just you']);
    expect(call.store.getState().view?.chat).toBe(view.chat);
  });

  test('a text that is too long or empty, and one to a peer that left, are refused at once', async () => {
    await inCall('bob');
    expect(() => call.chat.send('x'.repeat(4_001))).toThrow(
      expect.objectContaining({
        code: 'BAD_REQUEST',
        message: 'A message may have at most 4000 characters, and this one has 4001.',
      }),
    );
    expect(() => call.chat.send(' \n ')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
    expect(() => call.chat.send('hello', 'eve')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(view.chat).toEqual([]);
  });

  test('needs the permission for data', async () => {
    server.joined = { permissions: create(GrantedPermissionsSchema, { canPublish: true, canSubscribe: true }) };
    call.join();
    await soon(() => expect(view.online).toBe(true));
    for (const act of [() => call.chat.send('hello'), () => call.raiseHand(), () => call.react('👍')]) {
      expect(act).toThrow(expect.objectContaining({ code: 'PERMISSION_DENIED' }));
    }
  });

  test('a message that the server refuses says why, and can be sent again', async () => {
    await inCall('bob');
    server.instead.sendMessage = () => refusal(ErrorCode.NO_SUCH_PEER, 'gone');
    const id = call.chat.send('hello', 'bob');
    await soon(() => expect(view.chat[0]).toMatchObject({ id, state: 'failed', error: 'gone' }));
    delete server.instead.sendMessage;
    call.chat.retry(id);
    await soon(() => expect(view.chat).toMatchObject([{ id, state: 'sent', error: null }]));
  });

  test('a refusal for now is tried again by itself, and a repeated message is taken once', async () => {
    await inCall('bob');
    server.instead.sendMessage = () => {
      delete server.instead.sendMessage;
      return refusal(ErrorCode.LIMIT, 'too many', 20);
    };
    call.chat.send('hello');
    await soon(() => expect(view.chat[0]?.state).toBe('sent'));
    expect(sent()).toHaveLength(2);
    from('bob', { kind: 'chat', text: 'once' }, [], 1n);
    from('bob', { kind: 'chat', text: 'once' }, [], 1n);
    from('bob', { kind: 'chat', text: 'last' }, [], 2n);
    await soon(() => expect(view.chat.at(-1)?.text).toBe('last'));
    expect(view.chat.map(({ text }) => text)).toEqual(['hello', 'once', 'last']);
  });
});

describe('hands', () => {
  test('are in their order, and those of peers that leave are gone', async () => {
    await inCall('bob', 'eve');
    from('bob', { kind: 'hand', raised: true, order: 1 });
    await soon(() => expect(view.hands).toEqual(['bob']));
    call.raiseHand();
    call.raiseHand();
    expect(view.hands).toEqual(['bob', 'me']);
    from('eve', { kind: 'hand', raised: true, order: 3 });
    await soon(() => expect(view.hands).toEqual(['bob', 'me', 'eve']));
    server.tell({ case: 'peerLeft', value: { peerId: 'bob' } });
    from('eve', { kind: 'hand', raised: false, order: 0 });
    await soon(() => expect(view.hands).toEqual(['me']));
    call.lowerHand();
    expect(view.hands).toEqual([]);
    await soon(() => expect(sent()).toHaveLength(2));
    expect(sent().map(({ content }) => content)).toEqual([
      { kind: 'hand', raised: true, order: 2 },
      { kind: 'hand', raised: false, order: 0 },
    ]);
  });

  test('a peer that joins, or returns, gets the hand that is up', async () => {
    await inCall('bob');
    call.raiseHand();
    const announced = (to: string) => ({ to: [to], inside: [to], content: { kind: 'hand', raised: true, order: 1 } });
    server.tell({ case: 'peerJoined', value: { peer: peer('eve') } });
    await soon(() => expect(sent().at(-1)).toEqual(announced('eve')));
    server.tell({ case: 'peerAway', value: { peerId: 'bob', away: true } });
    server.tell({ case: 'peerAway', value: { peerId: 'bob', away: false } });
    await soon(() => expect(sent().at(-1)).toEqual(announced('bob')));
    expect(sent()).toHaveLength(3);
  });

  test('after a loss of the connection this client sends its own again, and keeps others only if it missed nothing', async () => {
    await inCall('bob');
    from('bob', { kind: 'hand', raised: true, order: 1 });
    call.raiseHand();
    await soon(() => expect(view.hands).toHaveLength(2));
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [], replayed: true });
    server.cut();
    await soon(() => expect(sent()).toHaveLength(2));
    expect(view.hands).toContain('bob');
    server.instead.joinRoom = ({ value }) => server.keepAll(value as JoinRoom, { peers: [peer('bob')] });
    server.cut();
    await soon(() => expect(sent()).toHaveLength(3));
    expect(view.hands).toEqual(['me']);
  });
});

test('reactions disappear', async () => {
  await inCall('bob');
  expect(() => call.react('hello')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  call.react('👏');
  from('bob', { kind: 'reaction', emoji: '❤️' });
  await soon(() =>
    expect(view.reactions.map(({ from, emoji }) => [from, emoji])).toEqual([
      ['me', '👏'],
      ['bob', '❤️'],
    ]),
  );
  await soon(() => expect(view.reactions).toEqual([]));
});
