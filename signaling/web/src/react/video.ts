// A track in a video element.

import { createElement, type ReactNode, useEffect, useRef, type VideoHTMLAttributes } from 'react';

/** Those of a `video` element, and the tracks. */
export interface VideoProps extends VideoHTMLAttributes<HTMLVideoElement> {
  /** Null shows nothing. */
  track: MediaStreamTrack | null;
  /** Plays with the picture. */
  audioTrack?: MediaStreamTrack | null;
}

/** Shows a track. The element is muted unless it has an `audioTrack`. */
export function Video({ track, audioTrack = null, ...rest }: VideoProps): ReactNode {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (!element.current) return;
    const tracks = [track, audioTrack].filter((one) => one !== null);
    element.current.srcObject = tracks.length > 0 ? new MediaStream(tracks) : null;
  }, [track, audioTrack]);
  return createElement('video', { autoPlay: true, playsInline: true, muted: !audioTrack, ...rest, ref: element });
}
