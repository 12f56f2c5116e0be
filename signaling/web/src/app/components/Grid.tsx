import { createContext, memo, useContext, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useFields, useIsSpeaking, usePeer, usePeerIds, useVoices } from '../../stores/selectors';
import { useCallStore } from '../../stores/useCallStore';
import { useLayout } from '../../stores/useLayout';
import { arrange, largeOf, nextSpeaker, type Place, type TileRef } from '../arrange';
import { useT } from '../i18n';
import { ownQuality, ownTiles, tileRefs, tilesOf } from '../tiles';
import { Pages } from './Pages';
import { Tile, type TileProps } from './Tile';

const GAP = 12;
/** Of the line with the invitation, and of that with the pages. */
const ALONE_LINE = 64;
const PAGES_LINE = 48;

const Places = createContext<ReadonlyMap<string, Place>>(new Map());

/** The place of a tile. The tile in it is not drawn again when the place changes. */
function Cell({ id, children }: { id: string; children: React.ReactNode }) {
  const place = useContext(Places).get(id);
  const { left, top, width, height } = place ?? {};
  return (
    <div
      className={`cell ${place?.isLarge ? 'large' : ''}`}
      data-tile={id}
      hidden={!place}
      style={place && { transform: `translate(${left}px, ${top}px)`, width, height }}
    >
      {children}
    </div>
  );
}

const inCell = (tile: TileProps) => (
  <Cell key={tile.id} id={tile.id}>
    <Tile {...tile} />
  </Cell>
);

const PeerTiles = memo(function PeerTiles({ peerId }: { peerId: string }) {
  const peer = usePeer(peerId);
  const speaking = useIsSpeaking(peerId);
  return peer && tilesOf(peer, speaking).map(inCell);
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
  return ownTiles(own, speaking, quality, t.common.you).map(inCell);
});

/** Another list only if another tile is in it. */
function useTileRefs(): readonly TileRef[] {
  const last = useRef<readonly TileRef[]>([]);
  return useCallStore(({ call }) => {
    const refs = call ? tileRefs(call) : [];
    const isSame = refs.length === last.current.length && refs.every(({ id }, index) => id === last.current[index]?.id);
    if (!isSame) last.current = refs;
    return last.current;
  });
}

/** Where the tiles are now. */
function useArrangement(space: { width: number; height: number }, peerIds: readonly string[]) {
  const { mode, pins, page } = useLayout();
  const tiles = useTileRefs();
  const voices = useVoices();
  const [speaker, setSpeaker] = useState<string | null>(null);
  const now = nextSpeaker(speaker, voices, peerIds);
  if (now !== speaker) setSpeaker(now);
  return useMemo(() => {
    const large = largeOf(tiles, mode, pins, now);
    const all = arrange(tiles, large, page, space, GAP);
    // The line with the pages takes its place only if there are pages.
    return all.pages === 1 ? all : arrange(tiles, large, page, { ...space, height: space.height - PAGES_LINE }, GAP);
  }, [tiles, mode, pins, now, page, space]);
}

/** A tile for each participant and screen, as large as the window allows. */
export const Grid = memo(function Grid() {
  const t = useT();
  const peerIds = usePeerIds();
  const { room, waiting } = useFields(({ call }) => ({ room: call?.room ?? '', waiting: call?.waiting ?? false }));
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
  const line = alone ? ALONE_LINE : 0;
  const stage = useMemo(() => ({ width: space.width, height: Math.max(0, space.height - line) }), [space, line]);
  const { places, page, pages } = useArrangement(stage, peerIds);

  const copyLink = async () => {
    await copyInvitation(room).then(
      () => notify(t.call.linkCopiedToSend),
      () => notify(invitation(room)),
    );
  };

  return (
    <div className="grid" ref={element}>
      <Places value={places}>
        <div className="tiles">
          {peerIds.map((peerId) => (
            <PeerTiles key={peerId} peerId={peerId} />
          ))}
          <OwnTiles />
        </div>
      </Places>
      {pages > 1 && <Pages page={page} pages={pages} />}
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
