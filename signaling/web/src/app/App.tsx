import { useEffect } from 'react';
import { useStore } from '../store/store';
import { CallPage } from './components/CallPage';
import { JoinPage } from './components/JoinPage';
import { Notices } from './components/Notices';

const autoJoin = new URLSearchParams(location.search).get('join') === '1';

/** Two pages, and what may lie over both. */
export function App() {
  const inCall = useStore((state) => state.call !== null);
  const openDevices = useStore((state) => state.openDevices);
  const join = useStore((state) => state.join);

  useEffect(() => {
    if (inCall) return;
    void openDevices();
  }, [inCall, openDevices]);

  useEffect(() => {
    if (autoJoin) void join();
  }, [join]);

  return (
    <>
      {inCall ? <CallPage /> : <JoinPage />}
      <Notices />
    </>
  );
}
