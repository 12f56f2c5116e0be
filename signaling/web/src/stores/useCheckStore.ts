// The state of the connection check page: the form, the results so far, and the report.

import { create } from 'zustand';
import { type CheckReport, type CheckResult, checkConnection } from '../sdk';
import { readLink } from './link';

export interface CheckState {
  room: string;
  token: string;
  running: boolean;
  results: readonly CheckResult[];
  /** Of the last check that has ended; null while one runs. */
  report: CheckReport | null;
  setForm(form: Partial<Pick<CheckState, 'room' | 'token'>>): void;
  start(): Promise<void>;
}

export const useCheckStore = create<CheckState>()((set, get) => {
  const link = readLink();
  return {
    room: link.room,
    token: link.token,
    running: false,
    results: [],
    report: null,
    setForm: (form) => set(form),
    start: async () => {
      if (get().running) return;
      set({ running: true, report: null });
      // A token may be for one room only. Without a token, the room is one where no other client is.
      const token = get().token.trim();
      const room = token ? get().room.trim() || undefined : undefined;
      const report = await checkConnection({ token, room }, (results) => set({ results }));
      set({ running: false, report, results: report.results });
    },
  };
});
