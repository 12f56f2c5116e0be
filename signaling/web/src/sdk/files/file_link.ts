// The channel of file transfer: messages of at most `MESSAGE_BYTES_MAX` bytes to one peer or to all peers of the
// room. Messages may be lost, and may arrive in another order.

/** What a `FileLink` reports. */
export interface FileLinkEvents {
  /** `from` is the peer that sent it. */
  onMessage(from: string, message: Uint8Array): void;
  /** `bufferedAmount` has fallen to the threshold. */
  onLow(): void;
  onOpen(): void;
  onClosed(): void;
}

/** The channel between two or more clients on which `FileTransfers` works. */
export interface FileLink {
  readonly isOpen: boolean;
  /** Bytes that are not sent yet. */
  readonly bufferedAmount: number;
  bufferedAmountLowThreshold: number;
  /** Null sends to all peers of the room. */
  send(message: Uint8Array<ArrayBuffer>, to: string | null): void;
  /** One listener at a time. */
  listen(events: FileLinkEvents | null): void;
}

/** The part of an RTCDataChannel that is used. */
export type DataChannel = Pick<
  RTCDataChannel,
  'readyState' | 'bufferedAmount' | 'bufferedAmountLowThreshold' | 'binaryType' | 'send' | 'addEventListener'
>;

/** A link over one channel, at whose other end is one peer. */
export function channelLink(channel: DataChannel, peerId: string): FileLink {
  let events: FileLinkEvents | null = null;
  channel.binaryType = 'arraybuffer';
  channel.addEventListener('message', ({ data }) => {
    if (data instanceof ArrayBuffer) events?.onMessage(peerId, new Uint8Array(data));
  });
  channel.addEventListener('bufferedamountlow', () => events?.onLow());
  channel.addEventListener('open', () => events?.onOpen());
  channel.addEventListener('close', () => events?.onClosed());
  return {
    get isOpen() {
      return channel.readyState === 'open';
    },
    get bufferedAmount() {
      return channel.bufferedAmount;
    },
    get bufferedAmountLowThreshold() {
      return channel.bufferedAmountLowThreshold;
    },
    set bufferedAmountLowThreshold(bytes) {
      channel.bufferedAmountLowThreshold = bytes;
    },
    send: (message, to) => {
      if (to === null || to === peerId) channel.send(message);
    },
    listen: (listener) => {
      events = listener;
    },
  };
}
