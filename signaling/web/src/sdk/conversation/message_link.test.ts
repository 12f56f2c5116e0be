import { afterEach, expect, test, vi } from 'vitest';
import { FrameCrypto } from '../e2ee/frame_crypto';
import { MessageLink, ROOM_TOPIC } from './message_link';
import { decode, encode } from './wire';

const KEY = new Uint8Array(32).fill(7);
const links: MessageLink[] = [];

/** A client whose messages are encrypted. */
class Client {
  readonly crypto = new FrameCrypto(
    () => undefined,
    () => undefined,
  );
  readonly sent: Uint8Array[] = [];
  readonly heard: string[] = [];
  readonly link = new MessageLink({
    send: async (_to, _topic, body) => void this.sent.push(body),
    cipher: () => this.crypto,
    ownId: () => 'me',
    onMessage: (from, { content }) => this.heard.push(`${from}: ${content.kind === 'chat' ? content.text : content.kind}`),
    note: () => undefined,
  });

  constructor() {
    links.push(this.link);
  }
}

afterEach(() => {
  for (const link of links.splice(0)) link.end();
});

const hello = { kind: 'chat', text: 'hello' } as const;
const settled = () => new Promise((done) => setTimeout(done, 50));

test('an encrypted message is not readable on its way, and one without a key waits for it', async () => {
  const [ada, bob] = [new Client(), new Client()];
  ada.crypto.handle({ do: 'setSendKey', epoch: 1, key: KEY });
  await ada.link.send(hello);
  const body = ada.sent[0] as Uint8Array;
  expect(new TextDecoder().decode(body)).not.toContain('hello');
  expect(decode(body)).toBe(null);
  bob.link.receive('ada', body);
  await settled();
  expect(bob.heard).toEqual([]);
  bob.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: KEY });
  bob.link.onKey('ada');
  await vi.waitFor(() => expect(bob.heard).toEqual(['ada: hello']));
  // The server repeats it.
  bob.link.receive('ada', body);
  await settled();
  expect(bob.heard).toHaveLength(1);
});

test('a clear message in an encrypted call, and one from another than its sender, are not shown', async () => {
  const [ada, bob] = [new Client(), new Client()];
  ada.crypto.handle({ do: 'setSendKey', epoch: 1, key: KEY });
  bob.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: KEY });
  bob.crypto.handle({ do: 'setReceiveKey', peerId: 'eve', epoch: 1, key: new Uint8Array(32).fill(8) });
  await ada.link.send(hello);
  bob.link.receive('eve', ada.sent[0] as Uint8Array);
  bob.link.receive('ada', encode({ number: 5n, to: [], content: hello }));
  bob.link.onKey('ada');
  bob.link.onKey('eve');
  await ada.link.send({ kind: 'chat', text: 'last' });
  bob.link.receive('ada', ada.sent[1] as Uint8Array);
  await vi.waitFor(() => expect(bob.heard).toEqual(['ada: last']));
});

test('a message is sent as soon as there is a key, and never without', async () => {
  const ada = new Client();
  const sending = ada.link.send(hello);
  await settled();
  expect(ada.sent).toEqual([]);
  ada.crypto.handle({ do: 'setSendKey', epoch: 1, key: KEY });
  await sending;
  expect(ada.sent).toHaveLength(1);
  vi.useFakeTimers();
  const without = new Client().link.send(hello);
  const refused = expect(without).rejects.toThrow('not exchanged yet');
  await vi.advanceTimersByTimeAsync(6_000);
  await refused;
  vi.useRealTimers();
});

test('the topic is authenticated: no message of a data channel is a message of the room', async () => {
  const [ada, bob] = [new Client(), new Client()];
  ada.crypto.handle({ do: 'setSendKey', epoch: 1, key: KEY });
  bob.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: KEY });
  const plaintext = encode({ number: 1n, to: [], content: hello });
  const other = await ada.crypto.sealer('leat.files')(plaintext);
  const same = await ada.crypto.sealer(ROOM_TOPIC)(plaintext);
  bob.link.receive('ada', other as Uint8Array);
  await settled();
  expect(bob.heard).toEqual([]);
  bob.link.receive('ada', same as Uint8Array);
  await vi.waitFor(() => expect(bob.heard).toEqual(['ada: hello']));
});
