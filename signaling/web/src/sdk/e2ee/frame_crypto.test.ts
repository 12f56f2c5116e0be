import { describe, expect, test } from 'vitest';
import { type Counts, type EncodedFrame, FrameCrypto, type Transform } from './frame_crypto';
import { STREAMS_PER_EPOCH } from './sending';

const CAMERA = { source: 'camera', mimeType: 'video/VP8' };

class Frame implements EncodedFrame {
  data: ArrayBuffer;

  constructor(
    text: string,
    readonly type: string | undefined = 'delta',
    readonly mimeType?: string,
  ) {
    this.data = new TextEncoder().encode(text).buffer;
  }

  getMetadata() {
    return { mimeType: this.mimeType };
  }

  get text(): string {
    return Buffer.from(this.data).toString();
  }
}

class End {
  usedUp = 0;
  changes = 0;
  readonly crypto = new FrameCrypto(
    () => {
      this.usedUp += 1;
    },
    () => {
      this.changes += 1;
    },
  );

  counts(peerId: string): Counts | undefined {
    const { report } = this.crypto;
    return report.on === 'counts' ? report.peers.get(peerId) : undefined;
  }
}

async function passed(transform: Transform<Frame>, frame: Frame): Promise<Frame | null> {
  let out: Frame | null = null;
  await transform(frame, (passed) => {
    out = passed;
  });
  return out;
}

function ends() {
  const [ada, grace] = [new End(), new End()];
  const key = (fill: number) => new Uint8Array(32).fill(fill);
  const start = (epoch: number, fill = epoch) => {
    ada.crypto.handle({ do: 'setSendKey', epoch, key: key(fill) });
    grace.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch, key: key(fill) });
  };
  return { ada, grace, key, start };
}

describe('frames between two workers', () => {
  test.each([
    ['audio/opus', undefined],
    ['video/VP8', 'key'],
    ['video/VP9', 'delta'],
    ['video/AV1', 'delta'],
  ])('%s arrives, and is not readable on its way', async (mimeType, type) => {
    const { ada, grace, start } = ends();
    start(1);
    const track = { source: 'camera', mimeType };
    const text = 'a picture of the harbour';
    const sent = await passed(ada.crypto.sealing(track), new Frame(text, type));
    expect(sent?.text.includes('harbour')).toBe(false);
    const received = await passed(grace.crypto.opening('ada', track), sent as Frame);
    expect(received?.text).toBe(text);
    expect(grace.counts('ada')).toEqual({ opened: 1, malformed: 0, unknownKey: 0, wrongKey: 0 });
    expect([ada.changes, grace.changes]).toEqual([1, 1]);
  });

  test('without a key, and of an unknown codec, nothing is sent', async () => {
    const { ada, start } = ends();
    expect(await passed(ada.crypto.sealing(CAMERA), new Frame('one'))).toBeNull();
    start(1);
    expect(await passed(ada.crypto.sealing({ ...CAMERA, mimeType: 'video/H265' }), new Frame('one'))).toBeNull();
    expect(await passed(ada.crypto.sealing(CAMERA), new Frame('one', 'delta', 'video/H265'))).toBeNull();
    expect(ada.crypto.report).toMatchObject({ sealed: 0, notSealed: 3 });
    expect(await passed(ada.crypto.sealing(CAMERA), new Frame('one'))).not.toBeNull();
  });

  test('a frame with a wrong key, of another source or of no encryption is dropped and counted', async () => {
    const { ada, grace, key, start } = ends();
    start(1);
    const seal = ada.crypto.sealing<Frame>(CAMERA);
    const open = grace.crypto.opening<Frame>('ada', CAMERA);
    grace.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: key(99) });
    expect(await passed(open, (await passed(seal, new Frame('one'))) as Frame)).toBeNull();
    expect(grace.counts('ada')?.wrongKey).toBe(1);
    grace.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: key(1) });
    const screen = grace.crypto.opening<Frame>('ada', { ...CAMERA, source: 'screen' });
    expect(await passed(screen, (await passed(seal, new Frame('two'))) as Frame)).toBeNull();
    expect(grace.counts('ada')?.wrongKey).toBe(2);
    expect(await passed(grace.crypto.opening('ada', CAMERA), new Frame(''))).toBeNull();
    expect(grace.counts('ada')?.malformed).toBe(1);
    expect(await passed(open, (await passed(seal, new Frame('three'))) as Frame)).not.toBeNull();
  });

  test('a key of one peer does not open the frames of another', async () => {
    const { ada, grace, start } = ends();
    start(1);
    const sent = (await passed(ada.crypto.sealing(CAMERA), new Frame('one'))) as Frame;
    expect(await passed(grace.crypto.opening('linus', CAMERA), sent)).toBeNull();
    expect(grace.counts('linus')?.unknownKey).toBe(1);
  });

  test('the next epoch is used at once, and frames of the one before open until its key is dropped', async () => {
    const { ada, grace, start } = ends();
    start(1);
    const seal = ada.crypto.sealing<Frame>(CAMERA);
    const open = grace.crypto.opening<Frame>('ada', CAMERA);
    const [early, late] = [(await passed(seal, new Frame('early'))) as Frame, (await passed(seal, new Frame('late'))) as Frame];
    start(2);
    const next = (await passed(seal, new Frame('next'))) as Frame;
    expect((await passed(open, next))?.text).toBe('next');
    expect((await passed(open, early))?.text).toBe('early');
    grace.crypto.handle({ do: 'dropReceiveKey', peerId: 'ada', epoch: 1 });
    expect(await passed(open, late)).toBeNull();
  });

  test('a keyframe is requested once when decryption is back, not before and not for a keyframe', async () => {
    const { ada, grace, key } = ends();
    let requests = 0;
    ada.crypto.handle({ do: 'setSendKey', epoch: 1, key: key(1) });
    const seal = ada.crypto.sealing<Frame>(CAMERA);
    const open = grace.crypto.opening<Frame>('ada', CAMERA, () => {
      requests += 1;
    });
    const arrive = async (type: string) => passed(open, (await passed(seal, new Frame('x', type))) as Frame);
    expect(await arrive('delta')).toBeNull();
    expect(requests).toBe(0);
    grace.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: key(1) });
    expect(await arrive('delta')).not.toBeNull();
    expect(await arrive('delta')).not.toBeNull();
    expect(requests).toBe(1);
    grace.crypto.handle({ do: 'dropPeer', peerId: 'ada' });
    expect(await arrive('delta')).toBeNull();
    grace.crypto.handle({ do: 'setReceiveKey', peerId: 'ada', epoch: 1, key: key(1) });
    expect(await arrive('key')).not.toBeNull();
    expect(requests).toBe(1);
  });

  test('after a reset no key is left, and the epochs start again with new keys', async () => {
    const { ada, grace, key, start } = ends();
    start(3);
    const seal = ada.crypto.sealing<Frame>(CAMERA);
    const open = grace.crypto.opening<Frame>('ada', CAMERA);
    const before = (await passed(seal, new Frame('before'))) as Frame;
    for (const end of [ada, grace]) end.crypto.handle({ do: 'reset' });
    expect(await passed(seal, new Frame('between'))).toBeNull();
    expect(await passed(open, before)).toBeNull();
    start(1, 50);
    expect(key(50)).not.toEqual(key(1));
    expect((await passed(open, (await passed(seal, new Frame('after'))) as Frame))?.text).toBe('after');
  });

  test('more tracks than key ids: a new epoch is requested, and nothing is sent under a used key id', async () => {
    const { ada, start } = ends();
    start(1);
    for (let index = 0; index < STREAMS_PER_EPOCH; index += 1) {
      expect(await passed(ada.crypto.sealing(CAMERA), new Frame('one'))).not.toBeNull();
    }
    const late = ada.crypto.sealing<Frame>(CAMERA);
    expect(await passed(late, new Frame('one'))).toBeNull();
    expect(ada.usedUp).toBe(1);
    start(2);
    expect(await passed(late, new Frame('one'))).not.toBeNull();
  });
});
