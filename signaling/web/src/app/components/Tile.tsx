import { useEffect, useRef } from 'react';
import { useCallStore } from '../../stores/useCallStore';
import { hue, initials } from '../names';
import { Icon } from './Icon';
import { Video } from './Video';

export interface TileProps {
  id: string;
  peerId: string;
  name: string;
  /** What the tile shows: "camera", "screen". */
  source: string;
  /** Its id at the server; null for one's own, and where there is none. */
  sourceId: string | null;
  /** Null: there is none, or it is not here yet. */
  track: MediaStreamTrack | null;
  /** Sent, but no picture has come so far. */
  waiting: boolean;
  /** The server sends nothing of it, for want of bandwidth; what is to be seen is the last picture that came. */
  starved: boolean;
  /** Null where the tile has no sound of its own. */
  muted: boolean | null;
  speaking: boolean;
  away: boolean;
  self: boolean;
}

/** Tells the call how large the source is shown, so that no larger picture comes than fits. */
function useDisplayHeight(sourceId: string | null) {
  const element = useRef<HTMLElement>(null);
  const showAt = useCallStore((state) => state.showAt);
  useEffect(() => {
    const tile = element.current;
    if (!tile || sourceId === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) showAt(sourceId, Math.round(entry.contentRect.height * window.devicePixelRatio));
    });
    observer.observe(tile);
    return () => observer.disconnect();
  }, [sourceId, showAt]);
  return element;
}

/** One person, or one screen. */
export function Tile({ peerId, name, source, sourceId, track, waiting, starved, muted, speaking, away, self }: TileProps) {
  const element = useDisplayHeight(sourceId);
  const screen = source === 'screen';
  const label = screen ? `${name}'s screen` : self ? `${name} (you)` : name;
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
      {/* Below the picture, so that there is somebody before its first frame. */}
      <div className="avatar" aria-hidden="true">
        {initials(name)}
      </div>
      {track && <Video track={track} mirrored={self && !screen} contain={screen} />}
      <figcaption>
        {muted && (
          <span className="mutesign" role="img" aria-label="muted">
            <Icon name="microphoneOff" />
          </span>
        )}
        <span className="name">{label}</span>
        {starved && <span className="away">paused: slow connection</span>}
        {away && <span className="away">reconnecting</span>}
      </figcaption>
    </figure>
  );
}
