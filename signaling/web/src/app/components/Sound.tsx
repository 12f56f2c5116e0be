import { useEffect, useRef } from 'react';
import { useCallStore } from '../../stores/useCallStore';

/** One remote audio track, audible. */
function Sound({ track }: { track: MediaStreamTrack }) {
  const element = useRef<HTMLAudioElement>(null);
  const setSoundBlocked = useCallStore((state) => state.setSoundBlocked);
  const blocked = useCallStore((state) => state.soundBlocked);

  useEffect(() => {
    const audio = element.current;
    if (!audio) return;
    audio.srcObject = new MediaStream([track]);
    // `autoPlay` would do, but it does not say when the browser forbids it; each new stream has to be asked about.
    if (!blocked) {
      audio.play().catch((error: unknown) => {
        if (error instanceof DOMException && error.name === 'NotAllowedError') setSoundBlocked(true);
      });
    }
    return () => {
      audio.srcObject = null;
    };
  }, [track, blocked, setSoundBlocked]);

  // biome-ignore lint/a11y/useMediaCaption: a live voice has no captions to offer.
  return <audio ref={element} autoPlay />;
}

/** Everything there is to hear. */
export function Sounds() {
  const peers = useCallStore((state) => state.call?.peers);
  const sources = (peers ?? []).flatMap((peer) => peer.sources);
  return sources.map(({ id, kind, track }) => kind === 'audio' && track && <Sound key={id} track={track} />);
}
