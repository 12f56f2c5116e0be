import { useLayoutEffect, useRef, useState } from 'react';
import type { CallView, PeerView } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { layout } from '../layout';
import { Tile, type TileProps } from './Tile';

const GAP = 12;
/** At this score (0 to 10) or below, loss is visible. */
const WEAK_SCORE_MAX = 5;

function isWeak(score: number | null | undefined): boolean {
  return score != null && score <= WEAK_SCORE_MAX;
}

function tilesOf(peer: PeerView, speaking: ReadonlySet<string>): TileProps[] {
  const microphone = peer.sources.find(({ source }) => source === 'microphone');
  const camera = peer.sources.find(({ source }) => source === 'camera');
  const live = camera && !camera.paused;
  const shared = { peerId: peer.id, name: peer.name, away: peer.away, self: false };
  return [
    ...peer.sources
      .filter(({ kind, source }) => kind === 'video' && source !== 'camera')
      .map(({ id, source, track, paused, unplayable, starved, score }) => ({
        ...shared,
        id,
        source,
        sourceId: id,
        starved,
        weak: !paused && isWeak(score),
        track: paused ? null : track,
        waiting: !paused && !track && !unplayable,
        muted: null,
        speaking: false,
      })),
    {
      ...shared,
      id: peer.id,
      source: 'camera',
      sourceId: camera?.id ?? null,
      starved: camera?.starved ?? false,
      weak: Boolean(live) && isWeak(camera?.score),
      track: live ? camera.track : null,
      waiting: Boolean(live && !camera.track && !camera.unplayable),
      muted: !microphone || microphone.paused,
      speaking: speaking.has(peer.id),
    },
  ];
}

function ownTiles({ local, sendScores, peerId, displayName, speaking }: CallView): TileProps[] {
  const microphone = local.get('microphone');
  const camera = local.get('camera');
  const screen = local.get('screen');
  const shared = { peerId, name: displayName || 'You', away: false, waiting: false, starved: false, sourceId: null, self: true };
  const own: TileProps = {
    ...shared,
    id: 'self',
    source: 'camera',
    weak: Boolean(camera && !camera.paused) && isWeak(sendScores.get('camera')),
    track: camera && !camera.paused ? camera.track : null,
    muted: !microphone || microphone.paused,
    speaking: speaking.has(peerId),
  };
  if (!screen) return [own];
  return [
    {
      ...shared,
      id: 'self-screen',
      source: 'screen',
      weak: isWeak(sendScores.get('screen')),
      track: screen.track,
      muted: null,
      speaking: false,
    },
    own,
  ];
}

/** A tile for each participant and screen, as large as the window allows. */
export function Grid({ call }: { call: CallView }) {
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

  const tiles = [...call.peers.flatMap((peer) => tilesOf(peer, call.speaking)), ...ownTiles(call)];
  const alone = call.peers.length === 0;
  // Alone in the room: the invitation takes one line below the user's own picture.
  const fit = layout(tiles.length, space.width, space.height - (alone ? 64 : 0), GAP);

  const copyLink = async () => {
    await copyInvitation(call.room).then(
      () => notify('Link copied. Send it to the people you want to invite.'),
      () => notify(invitation(call.room)),
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
        {tiles.map((tile) => (
          <Tile key={tile.id} {...tile} />
        ))}
      </div>
      {call.waiting && (
        <p className="alone" role="status">
          You are in the waiting room. An administrator has to admit you.
        </p>
      )}
      {alone && !call.waiting && (
        <p className="alone">
          You are the first one here.
          <button type="button" className="linkish" onClick={copyLink}>
            Copy the link
          </button>
        </p>
      )}
    </div>
  );
}

/** The page's address with the room, and without the user's name and token. */
export function invitation(room: string): string {
  return `${location.origin}${location.pathname}?room=${encodeURIComponent(room)}`;
}

export async function copyInvitation(room: string): Promise<void> {
  await navigator.clipboard.writeText(invitation(room));
}
