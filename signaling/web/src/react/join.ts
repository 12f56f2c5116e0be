// A call that lives as long as a component.

import { useEffect, useRef, useState } from 'react';
import { Call, type CallEvents, type CallOptions } from '../sdk';

/** What `useJoin` returns. */
export interface JoinedCall {
  /** Null before the first effect, and while `options` are null. */
  call: Call | null;
  /** Why the call ended; null while it runs, or if it was left. */
  failure: Error | null;
}

/**
 * Joins a room when the component appears, and leaves it when the component disappears. Another room, server or token
 * string means another call; other changes of `options` have no effect. Null: no call.
 */
export function useJoin(options: CallOptions | null, events: Partial<Omit<CallEvents, 'onView'>> = {}): JoinedCall {
  const [joined, setJoined] = useState<JoinedCall>({ call: null, failure: null });
  const latest = useRef({ options, events });
  latest.current = { options, events };
  const { room, url, token } = options ?? {};
  const fixedToken = typeof token === 'string' ? token : undefined;
  // The options of the time at which one of these changes.
  const key = options ? JSON.stringify([room, url, fixedToken]) : null;
  useEffect(() => {
    const { options } = latest.current;
    if (key === null || !options) return;
    const call = new Call(options, {
      onView: ({ failure }) => failure && setJoined({ call, failure }),
      onNotice: (message, notice) => latest.current.events.onNotice?.(message, notice),
      onData: (from, label, data) => latest.current.events.onData?.(from, label, data),
    });
    setJoined({ call, failure: null });
    call.join();
    return () => {
      setJoined({ call: null, failure: null });
      void call.leave();
    };
  }, [key]);
  return joined;
}
