import { hue, initials } from '../names';
import { Icon } from './Icon';
import { Video } from './Video';

export interface TileProps {
  id: string;
  peerId: string;
  name: string;
  /** What the tile shows: "camera", "screen". */
  source: string;
  /** Null: there is none, or it is not here yet. */
  track: MediaStreamTrack | null;
  /** Sent, but no picture has come so far. */
  waiting: boolean;
  /** Null where the tile has no sound of its own. */
  muted: boolean | null;
  speaking: boolean;
  away: boolean;
  self: boolean;
}

/** One person, or one screen. */
export function Tile({ peerId, name, source, track, waiting, muted, speaking, away, self }: TileProps) {
  const screen = source === 'screen';
  const label = screen ? `${name}'s screen` : self ? `${name} (you)` : name;
  return (
    <figure
      className={`tile ${speaking ? 'speaking' : ''} ${waiting ? 'waiting' : ''}`}
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
        {away && <span className="away">reconnecting</span>}
      </figcaption>
    </figure>
  );
}
