// The call of the components below a provider.

import { createContext, createElement, type ReactNode, useContext } from 'react';
import type { Call } from '../sdk';

/** The call of `CallProvider`; null without one. */
export const CallContext = createContext<Call | null>(null);

/** The properties of `CallProvider`. */
export interface CallProviderProps {
  /** Null while there is no call: the hooks return what they return before a call. */
  call: Call | null;
  children?: ReactNode;
}

/** Gives the call to all hooks below it. */
export function CallProvider({ call, children }: CallProviderProps): ReactNode {
  return createElement(CallContext.Provider, { value: call }, children);
}

/** The call of `CallProvider`; null without one. */
export function useCallContext(): Call | null {
  return useContext(CallContext);
}
