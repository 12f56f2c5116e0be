import { useEffect } from 'react';
import { useStore } from '../store/store';
import { CallPage } from './components/CallPage';
import { JoinPage } from './components/JoinPage';
import { Notices } from './components/Notices';

/** Two pages, and what may lie over both. */
export function App() {
  const inCall = useStore((state) => state.call !== null);
  const openDevices = useStore((state) => state.openDevices);
  const join = useStore((state) => state.join);
  const joinsAtOnce = useStore((state) => state.joinsAtOnce);

  useEffect(() => {
    if (inCall) return;
    void openDevices();
  }, [inCall, openDevices]);

  useEffect(() => {
    if (joinsAtOnce) void join();
  }, [joinsAtOnce, join]);

  return (
    <>
      {inCall ? <CallPage /> : <JoinPage />}
      <Notices />
    </>
  );
}
