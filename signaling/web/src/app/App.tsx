import { useEffect } from 'react';
import { useCallStore } from '../stores/useCallStore';
import { CallPage } from './components/CallPage';
import { JoinPage } from './components/JoinPage';
import { Notices } from './components/Notices';

/** The join page or the call page, and the notices over both. */
export function App() {
  const inCall = useCallStore((state) => state.call !== null);
  const openDevices = useCallStore((state) => state.openDevices);
  const join = useCallStore((state) => state.join);
  const joinsAtOnce = useCallStore((state) => state.joinsAtOnce);

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
