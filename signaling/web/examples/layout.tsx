// A layout with React: the one who speaks is large, the others are in a row.

import { captureDevices } from '@leat/web';
import { CallProvider, useCallContext, useJoin, usePeer, usePeerIds, useSpeaking, Video } from '@leat/web/react';
import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';

const query = new URLSearchParams(location.search);

function Tile({ id }: { id: string }) {
  const peer = usePeer(id);
  const speaks = useSpeaking(id);
  const camera = peer?.sources.find(({ source }) => source === 'camera');
  return (
    <figure style={{ flex: speaks ? '1 0 100%' : '0 0 12rem' }} data-speaks={speaks}>
      <Video track={camera?.track ?? null} style={{ width: '100%' }} />
      <figcaption>{peer?.name}</figcaption>
    </figure>
  );
}

/** Sends camera and microphone as long as it is on the page. */
function Send() {
  const call = useCallContext();
  useEffect(() => {
    let isOver = false;
    let tracks: MediaStreamTrack[] = [];
    void captureDevices().then(({ audio, video }) => {
      tracks = [audio, video].filter((track) => track !== null);
      if (isOver) for (const track of tracks) track.stop();
      else {
        call?.setSource('microphone', audio);
        call?.setSource('camera', video);
      }
    });
    return () => {
      isOver = true;
      for (const track of tracks) track.stop();
    };
  }, [call]);
  return null;
}

function Tiles() {
  const ids = usePeerIds();
  return (
    <div style={{ display: 'flex', flexWrap: 'wrap', gap: '0.5rem' }}>
      {ids.map((id) => (
        <Tile key={id} id={id} />
      ))}
    </div>
  );
}

function Room() {
  const { call, failure } = useJoin({
    room: query.get('room') ?? 'millpond',
    displayName: query.get('name') ?? 'Guest',
    token: query.get('token') ?? undefined,
  });
  if (failure) return <p role="alert">{failure.message}</p>;
  return (
    <CallProvider call={call}>
      <Send />
      <Tiles />
    </CallProvider>
  );
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<Room />);
