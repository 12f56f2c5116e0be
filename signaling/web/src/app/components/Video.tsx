import { useEffect, useRef } from 'react';

/**
 * A track in a video element. Always muted: `Sound` plays the sound, independently of tiles that are removed
 * and added.
 */
export function Video({
  track,
  mirrored = false,
  contain = false,
}: {
  track: MediaStreamTrack;
  mirrored?: boolean;
  contain?: boolean;
}) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (!video) return;
    video.srcObject = new MediaStream([track]);
    return () => {
      video.srcObject = null;
    };
  }, [track]);
  return (
    <video ref={element} className={`${mirrored ? 'mirrored' : ''} ${contain ? 'contain' : ''}`} autoPlay playsInline muted />
  );
}
