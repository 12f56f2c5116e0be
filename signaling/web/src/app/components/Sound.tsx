import { useEffect, useRef } from 'react';
import { DeviceError, playOn } from '../../sdk';
import { speakerOf } from '../../stores/device_slice';
import { useCallStore } from '../../stores/useCallStore';

/** Plays one remote audio track. */
export function Sound({ track }: { track: MediaStreamTrack }) {
  const element = useRef<HTMLAudioElement>(null);
  const setSoundBlocked = useCallStore((state) => state.setSoundBlocked);
  const blocked = useCallStore((state) => state.soundBlocked);

  useEffect(() => {
    const audio = element.current;
    if (!audio) return;
    audio.srcObject = new MediaStream([track]);
    // `autoPlay` does not report when the browser forbids playback; `play()` does, for each new stream.
    if (!blocked) {
      audio.play().catch((error: unknown) => {
        if (error instanceof DOMException && error.name === 'NotAllowedError') setSoundBlocked(true);
      });
    }
    return () => {
      audio.srcObject = null;
    };
  }, [track, blocked, setSoundBlocked]);

  const speaker = useCallStore((state) => speakerOf(state.devices));
  const reportDevice = useCallStore((state) => state.reportDevice);
  useEffect(() => {
    const audio = element.current;
    if (!audio) return;
    playOn(audio, speaker).catch((error: unknown) => {
      if (error instanceof DeviceError) reportDevice({ on: 'failed', errors: [error] });
    });
  }, [speaker, reportDevice]);

  // biome-ignore lint/a11y/useMediaCaption: a live voice has no captions.
  return <audio ref={element} autoPlay />;
}

/** Plays all remote audio tracks. */
export function Sounds() {
  const peers = useCallStore((state) => state.call?.peers);
  const sources = (peers ?? []).flatMap((peer) => peer.sources);
  return sources.map(({ id, kind, track }) => kind === 'audio' && track && <Sound key={id} track={track} />);
}
