import { useEffect, useRef } from 'react';
import type { QualityLevel } from '../../sdk';
import { useCallStore } from '../../stores/useCallStore';
import { useT } from '../i18n';
import { hue, initials } from '../names';
import { Icon } from './Icon';
import { Padlock } from './Padlock';
import { PinButton } from './PinButton';
import { Quality } from './Quality';
import { TileSigns } from './TileSigns';
import { Video } from './Video';

export interface TileProps {
  id: string;
  peerId: string;
  name: string;
  /** "camera" or "screen". */
  source: string;
  /** The producer id; null for local sources and for sources without a producer. */
  sourceId: string | null;
  /** Null: the source has no track, or it is not received yet. */
  track: MediaStreamTrack | null;
  /** Sent, but no picture has arrived yet. */
  waiting: boolean;
  /** The server sends none of it, because bandwidth is short; the tile shows the last picture. */
  starved: boolean;
  /** Its media arrives with losses, here or at the server. */
  weak: boolean;
  /** Null where the tile has no sound. */
  muted: boolean | null;
  speaking: boolean;
  away: boolean;
  /** Null: not measured. */
  quality: QualityLevel | null;
  self: boolean;
}

/**
 * Passes the size on screen to the call, so that no larger picture is requested: 0 for a tile that is on another page of
 * tiles, or scrolled away.
 */
function useDisplayHeight(sourceId: string | null) {
  const element = useRef<HTMLElement>(null);
  const showAt = useCallStore((state) => state.showAt);
  useEffect(() => {
    const tile = element.current;
    if (!tile || sourceId === null) return;
    let height: number | null = null;
    let isInView = true;
    const tell = () => {
      if (height === null) return;
      const isShown = isInView && height > 0;
      showAt(sourceId, isShown ? Math.max(1, Math.round(height * window.devicePixelRatio)) : 0);
    };
    const sizes = new ResizeObserver(([entry]) => {
      height = entry?.contentRect.height ?? height;
      tell();
    });
    const views = new IntersectionObserver((entries) => {
      isInView = entries.at(-1)?.isIntersecting ?? isInView;
      tell();
    });
    sizes.observe(tile);
    views.observe(tile);
    return () => {
      sizes.disconnect();
      views.disconnect();
    };
  }, [sourceId, showAt]);
  return element;
}

/** One person, or one screen. */
export function Tile({
  id,
  peerId,
  name,
  source,
  sourceId,
  track,
  waiting,
  starved,
  weak,
  muted,
  speaking,
  away,
  quality,
  self,
}: TileProps) {
  const t = useT();
  const element = useDisplayHeight(sourceId);
  const screen = source === 'screen';
  const label = screen ? t.tile.screen(name) : self ? t.tile.self(name) : name;
  return (
    <figure
      ref={element}
      className={`tile ${speaking ? 'speaking' : ''} ${waiting ? 'waiting' : ''} ${starved ? 'starved' : ''}`}
      data-peer={peerId}
      data-source={source}
      data-video={track !== null}
      data-muted={muted ?? undefined}
      style={{ '--hue': hue(peerId) } as React.CSSProperties}
    >
      {/* Below the picture: visible before its first frame. */}
      <div className="avatar" aria-hidden="true">
        {initials(name)}
      </div>
      {track && <Video track={track} mirrored={self && !screen} contain={screen} />}
      {!screen && <TileSigns peerId={peerId} />}
      <PinButton tileId={id} label={label} />
      <figcaption>
        {muted && (
          <span className="mutesign" role="img" aria-label={t.tile.muted}>
            <Icon name="microphoneOff" />
          </span>
        )}
        {!self && <Padlock peerId={peerId} name={name} />}
        <span className="name">{label}</span>
        {starved && <span className="away">{t.tile.starved}</span>}
        {weak && !starved && !away && <span className="away">{t.tile.weak}</span>}
        {away && <span className="away">{t.people.reconnecting}</span>}
        {quality && <Quality level={quality} />}
      </figcaption>
    </figure>
  );
}
