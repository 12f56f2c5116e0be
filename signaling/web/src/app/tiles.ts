// The tiles of a participant: one for each screen, and one for the camera or the person without one. Pure.

import { type CallView, type PeerView, type QualityLevel, type SourceView, worstOf } from '../sdk';
import type { TileRef } from './arrange';
import type { TileProps } from './components/Tile';

/** At this score (0 to 10) or below, loss is visible. */
const WEAK_SCORE_MAX = 5;

function isWeak(score: number | null | undefined): boolean {
  return score != null && score <= WEAK_SCORE_MAX;
}

export function tilesOf(peer: PeerView, speaking: boolean): TileProps[] {
  const microphone = peer.sources.find(({ source }) => source === 'microphone');
  const camera = peer.sources.find(({ source }) => source === 'camera');
  const live = camera && !camera.paused;
  const shared = { peerId: peer.id, name: peer.name, away: peer.away, self: false };
  return [
    ...peer.sources.filter(isExtra).map(({ id, source, track, paused, unplayable, starved, score, quality }) => ({
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
      quality: paused ? null : quality,
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
      speaking,
      quality: worstOf([microphone, camera].map((source) => (source?.paused ? null : source?.quality))),
    },
  ];
}

type Own = Pick<CallView, 'local' | 'sendScores' | 'peerId' | 'displayName'>;

export interface OwnQuality {
  person: QualityLevel | null;
  screen: QualityLevel | null;
}

/** `you`: the name of this client if it has none. */
export function ownTiles(
  { local, sendScores, peerId, displayName }: Own,
  speaking: boolean,
  quality: OwnQuality,
  you: string,
): TileProps[] {
  const microphone = local.get('microphone');
  const camera = local.get('camera');
  const screen = local.get('screen');
  const shared = { peerId, name: displayName || you, away: false, waiting: false, starved: false, sourceId: null, self: true };
  const own: TileProps = {
    ...shared,
    id: OWN_ID,
    source: 'camera',
    weak: Boolean(camera && !camera.paused) && isWeak(sendScores.get('camera')),
    track: camera && !camera.paused ? camera.track : null,
    muted: !microphone || microphone.paused,
    speaking,
    quality: quality.person,
  };
  if (!screen) return [own];
  return [
    {
      ...shared,
      id: OWN_SCREEN_ID,
      source: 'screen',
      weak: isWeak(sendScores.get('screen')),
      track: screen.track,
      muted: null,
      speaking: false,
      quality: quality.screen,
    },
    own,
  ];
}

const OWN_ID = 'self';
const OWN_SCREEN_ID = 'self-screen';

/** The tiles that `tilesOf` and `ownTiles` give, in their order. */
export function tileRefs({ peers, local, peerId }: Pick<CallView, 'peers' | 'local' | 'peerId'>): TileRef[] {
  const refsOf = ({ id, sources }: PeerView): TileRef[] => [
    ...sources.filter(isExtra).map((source) => ({ id: source.id, peerId: id, isScreen: true, isSelf: false })),
    { id, peerId: id, isScreen: false, isSelf: false },
  ];
  const own = { peerId, isSelf: true };
  const screen = local.has('screen') ? [{ ...own, id: OWN_SCREEN_ID, isScreen: true }] : [];
  return [...peers.flatMap(refsOf), ...screen, { ...own, id: OWN_ID, isScreen: false }];
}

function isExtra({ kind, source }: Pick<SourceView, 'kind' | 'source'>): boolean {
  return kind === 'video' && source !== 'camera';
}

/** The levels of what this client sends. */
export function ownQuality({ quality, local }: Pick<CallView, 'quality' | 'local'>): OwnQuality {
  const level = (source: string) => (local.get(source)?.paused === false ? quality.get(source)?.level : null);
  return { person: worstOf([level('microphone'), level('camera')]), screen: worstOf([level('screen')]) };
}
