// The store of the page /whip: its form, the session of WHIP or WHEP, and what the session sends or receives.

import { create } from 'zustand';
import { captureDevices, type DeviceError, playByWhep, publishByWhip, WhipError, type WhipSession } from '../sdk';
import { readLink } from './link';
import { rowsOf, type StreamRow } from './whip_streams';

/** The interval at which the rows of the streams are read. */
const STATS_MS = 1_000;

export type WhipStatus = 'idle' | 'connecting' | 'waiting' | 'publishing' | 'playing' | 'failed';

export interface WhipState {
  room: string;
  name: string;
  token: string;
  /** The only codec of the published video, for example "video/VP8"; empty lets the server select. */
  codec: string;
  status: WhipStatus;
  /** Why it failed, or what the page waits for, in the words of the server. */
  reason: string;
  /** Why devices are missing. */
  deviceErrors: readonly DeviceError[];
  /** The own tracks of a publisher, the received ones of a player. */
  tracks: readonly MediaStreamTrack[];
  tracksAreOwn: boolean;
  streams: readonly StreamRow[];

  setForm(form: Partial<Pick<WhipState, 'room' | 'name' | 'token' | 'codec'>>): void;
  publish(): Promise<void>;
  play(): Promise<void>;
  stop(): Promise<void>;
}

const link = readLink();

export const useWhipStore = create<WhipState>()((set, get) => {
  /** Which attempt runs: an action that is overtaken by another one changes nothing. */
  let attempt = 0;
  let session: WhipSession | null = null;
  let timer: ReturnType<typeof setInterval> | undefined;

  const endpoint = (path: 'whip' | 'whep') => {
    const { room, name } = get();
    const query = path === 'whip' && name.trim() ? `?${new URLSearchParams({ name: name.trim() })}` : '';
    return `/${path}/${encodeURIComponent(room.trim())}${query}`;
  };

  const release = async () => {
    clearInterval(timer);
    for (const track of get().tracks) track.stop();
    const ended = session;
    session = null;
    set({ tracks: [], streams: [] });
    await ended?.close();
  };

  const fail = async (error: unknown) => {
    await release().catch(() => undefined);
    set({ status: 'failed', reason: error instanceof Error ? error.message : String(error) });
  };

  /** Runs `open` as the only attempt, and shows the session. */
  const start = async (open: (isCurrent: () => boolean) => Promise<WhipSession | null>, running: WhipStatus) => {
    attempt += 1;
    const own = attempt;
    const isCurrent = () => own === attempt;
    try {
      await release();
      set({ status: 'connecting', reason: '', deviceErrors: [] });
      const opened = await open(isCurrent);
      if (!opened) return;
      if (!isCurrent()) {
        await opened.close();
        return;
      }
      session = opened;
      const { connection } = opened;
      timer = setInterval(async () => {
        const streams = rowsOf((await connection.getStats()) as never);
        if (isCurrent()) set({ streams });
      }, STATS_MS);
      const follow = () => {
        if (!isCurrent()) return;
        if (connection.connectionState === 'connected') set({ status: running });
        // The session may still exist at the server: if it does not, the restart is refused.
        if (connection.connectionState === 'failed')
          void opened.restartIce().catch((error) => (isCurrent() ? fail(error) : undefined));
      };
      connection.addEventListener('connectionstatechange', follow);
      follow();
    } catch (error) {
      if (isCurrent()) await fail(error);
    }
  };

  return {
    room: link.room,
    name: link.name,
    token: link.token,
    codec: '',
    status: 'idle',
    reason: '',
    deviceErrors: [],
    tracks: [],
    tracksAreOwn: false,
    streams: [],

    setForm: (form) => set(form),

    publish: () =>
      start(async (isCurrent) => {
        const { audio, video, errors } = await captureDevices();
        const tracks = [audio, video].filter((track) => track !== null);
        if (!isCurrent()) for (const track of tracks) track.stop();
        if (!isCurrent()) return null;
        set({ deviceErrors: Object.values(errors).filter((error) => error !== null) });
        // The errors of the devices are the reason.
        if (tracks.length === 0) throw new Error('');
        set({ tracks, tracksAreOwn: true });
        const { token, codec } = get();
        return publishByWhip(tracks, { url: endpoint('whip'), token: token.trim(), codec });
      }, 'publishing'),

    play: () =>
      start(async (isCurrent) => {
        for (;;) {
          const tracks: MediaStreamTrack[] = [];
          const onTrack = (track: MediaStreamTrack) => {
            tracks.push(track);
            if (isCurrent()) set({ tracks: [...tracks], tracksAreOwn: false });
          };
          try {
            const { token } = get();
            return await playByWhep(['audio', 'video'], { url: endpoint('whep'), token: token.trim(), onTrack });
          } catch (error) {
            if (!isCurrent()) return null;
            // The room has no publisher yet: the server gives the pause before the next request.
            if (!(error instanceof WhipError && error.retryAfterMs > 0)) throw error;
            set({ status: 'waiting', reason: error.message });
            await new Promise((done) => setTimeout(done, error.retryAfterMs));
            if (!isCurrent()) return null;
          }
        }
      }, 'playing'),

    stop: async () => {
      attempt += 1;
      try {
        await release();
        set({ status: 'idle', reason: '', deviceErrors: [] });
      } catch (error) {
        await fail(error);
      }
    },
  };
});
