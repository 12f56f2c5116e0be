import { useEffect, useRef } from 'react';
import { useStore } from '../../store/store';

/** One remote audio track, audible. */
function Sound({ track }: { track: MediaStreamTrack }) {
  const element = useRef<HTMLAudioElement>(null);
  const setSoundBlocked = useStore((state) => state.setSoundBlocked);
  const blocked = useStore((state) => state.soundBlocked);

  useEffect(() => {
    const audio = element.current;
    if (!audio) return;
    audio.srcObject = new MediaStream([track]);
    return () => {
      audio.srcObject = null;
    };
  }, [track]);

  useEffect(() => {
    if (blocked) return;
    element.current?.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') setSoundBlocked(true);
    });
  }, [blocked, setSoundBlocked]);

  // biome-ignore lint/a11y/useMediaCaption: a live voice has no captions to offer.
  return <audio ref={element} autoPlay />;
}

/** Everything there is to hear. */
export function Sounds() {
  const peers = useStore((state) => state.call?.peers);
  const sources = (peers ?? []).flatMap((peer) => peer.sources);
  return sources.map(({ id, kind, track }) => kind === 'audio' && track && <Sound key={id} track={track} />);
}
