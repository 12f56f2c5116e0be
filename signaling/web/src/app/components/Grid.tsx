import { memo, useLayoutEffect, useRef, useState } from 'react';
import { useFields, useIsSpeaking, usePeer, usePeerIds } from '../../stores/selectors';
import { useCallStore } from '../../stores/useCallStore';
import { useT } from '../i18n';
import { layout } from '../layout';
import { ownQuality, ownTiles, tileCount, tilesOf } from '../tiles';
import { Tile } from './Tile';

const GAP = 12;

const PeerTiles = memo(function PeerTiles({ peerId }: { peerId: string }) {
  const peer = usePeer(peerId);
  const speaking = useIsSpeaking(peerId);
  return peer && tilesOf(peer, speaking).map((tile) => <Tile key={tile.id} {...tile} />);
});

const nothing = { local: new Map(), sendScores: new Map(), quality: new Map(), peerId: '', displayName: '' };

const OwnTiles = memo(function OwnTiles() {
  const own = useFields(({ call }) => {
    const { local, sendScores, peerId, displayName } = call ?? nothing;
    return { local, sendScores, peerId, displayName };
  });
  const speaking = useIsSpeaking(own.peerId);
  const quality = useFields(({ call }) => ownQuality(call ?? nothing));
  const t = useT();
  return ownTiles(own, speaking, quality, t.common.you).map((tile) => <Tile key={tile.id} {...tile} />);
});

/** A tile for each participant and screen, as large as the window allows. */
export const Grid = memo(function Grid() {
  const t = useT();
  const peerIds = usePeerIds();
  const { room, waiting, count } = useFields(({ call }) => ({
    room: call?.room ?? '',
    waiting: call?.waiting ?? false,
    count: call ? tileCount(call) : 1,
  }));
  const element = useRef<HTMLDivElement>(null);
  const [space, setSpace] = useState({ width: 0, height: 0 });
  const notify = useCallStore((state) => state.notify);

  useLayoutEffect(() => {
    const grid = element.current;
    if (!grid) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSpace({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(grid);
    return () => observer.disconnect();
  }, []);

  const alone = peerIds.length === 0;
  // Alone in the room: the invitation takes one line below the user's own picture.
  const fit = layout(count, space.width, space.height - (alone ? 64 : 0), GAP);

  const copyLink = async () => {
    await copyInvitation(room).then(
      () => notify(t.call.linkCopiedToSend),
      () => notify(invitation(room)),
    );
  };

  return (
    <div className="grid" ref={element}>
      <div
        className="tiles"
        style={
          {
            '--tile-width': `${fit.width}px`,
            '--tile-height': `${fit.height}px`,
            '--columns': fit.columns,
          } as React.CSSProperties
        }
      >
        {peerIds.map((peerId) => (
          <PeerTiles key={peerId} peerId={peerId} />
        ))}
        <OwnTiles />
      </div>
      {waiting && (
        <p className="alone" role="status">
          {t.call.inWaitingRoom}
        </p>
      )}
      {alone && !waiting && (
        <p className="alone">
          {t.call.alone}
          <button type="button" className="linkish" onClick={copyLink}>
            {t.call.copyLink}
          </button>
        </p>
      )}
    </div>
  );
});

/** The page's address with the room, and without the user's name and token. */
export function invitation(room: string): string {
  // A participant with this link encrypts, whatever the server says about the room.
  const encrypted = useCallStore.getState().call?.encrypted ? '&encrypted=1' : '';
  return `${location.origin}${location.pathname}?room=${encodeURIComponent(room)}${encrypted}`;
}

export async function copyInvitation(room: string): Promise<void> {
  await navigator.clipboard.writeText(invitation(room));
}
