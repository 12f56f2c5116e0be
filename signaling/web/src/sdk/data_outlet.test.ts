import { expect, test, vi } from 'vitest';
import { type DataCipher, GatedOutlet, SealedOutlet, unpacked } from './data_outlet';
import { messageKeyOf } from './e2ee/encryption';
import { FrameCrypto } from './e2ee/frame_crypto';

class FakeOutlet {
  readyState: RTCDataChannelState = 'open';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 100;
  readonly sent: Uint8Array<ArrayBuffer>[] = [];

  send(message: Uint8Array<ArrayBuffer>): void {
    this.sent.push(message);
  }

  close(): void {
    this.readyState = 'closed';
  }
}

const ignore = () => undefined;
const bytes = (text: string) => new TextEncoder().encode(text);
const onLow = vi.fn();

/** Two ends with the key of one sender. */
function ends(): { sender: FrameCrypto; receiver: DataCipher } {
  const [sender, receiver] = [new FrameCrypto(ignore, ignore), new FrameCrypto(ignore, ignore)];
  const key = crypto.getRandomValues(new Uint8Array(32));
  sender.handle({ do: 'setSendKey', epoch: 1, key });
  receiver.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key });
  return { sender, receiver };
}

test('what is sealed arrives, in its order, and only with the right peer and label', async () => {
  const { sender, receiver } = ends();
  const outlet = new FakeOutlet();
  const sealed = new SealedOutlet(outlet, { onLow }, sender.sealer('game'));
  sealed.send('ä move');
  sealed.send(bytes('secret'));
  sealed.send('');
  await vi.waitFor(() => expect(outlet.sent).toHaveLength(3));
  const opened = await Promise.all(outlet.sent.map((message) => receiver.open('ada', 'game', message)));
  expect(opened.map((plaintext) => plaintext && unpacked(plaintext))).toEqual(['ä move', bytes('secret').buffer, '']);
  expect(new TextDecoder('latin1').decode(outlet.sent[1])).not.toContain('secret');
  const [first = new Uint8Array()] = outlet.sent;
  expect(await receiver.open('eve', 'game', first)).toBe(null);
  expect(await receiver.open('ada', 'other', first)).toBe(null);
  expect(await receiver.open('ada', 'game', bytes('in clear'))).toBe(null);
});

test('without a key nothing is sent, and what waits counts as buffered', async () => {
  const outlet = new FakeOutlet();
  const sealed = new SealedOutlet(outlet, { onLow }, new FrameCrypto(ignore, ignore).sealer('game'));
  onLow.mockClear();
  sealed.send('x'.repeat(200));
  expect(sealed.bufferedAmount).toBe(201);
  await vi.waitFor(() => expect(sealed.bufferedAmount).toBe(0));
  expect(outlet.sent).toEqual([]);
  expect(onLow).toHaveBeenCalledTimes(1);
});

test('a plaintext that no sender makes is no message', () => {
  expect(unpacked(new Uint8Array())).toBe(null);
  expect(unpacked(new Uint8Array([7, 1]))).toBe(null);
});

test('frames and messages have different keys', () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const other = messageKeyOf(key);
  expect(other).toHaveLength(32);
  expect(other).not.toEqual(key);
  expect(messageKeyOf(key)).toEqual(other);
});

test('a gate opens when it is ready and its channel is open', () => {
  const outlet = new FakeOutlet();
  const onOpen = vi.fn();
  const gate = new GatedOutlet(outlet, { onOpen });
  expect(gate.readyState).toBe('connecting');
  gate.ready();
  gate.ready();
  expect(gate.readyState).toBe('open');
  expect(onOpen).toHaveBeenCalledTimes(1);
  outlet.close();
  expect(gate.readyState).toBe('closed');
  expect(new GatedOutlet(outlet, { onOpen }).readyState).toBe('closed');
});
