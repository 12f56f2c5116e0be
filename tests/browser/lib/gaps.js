// What a page shows and receives while its network is away.

/** How often a page counts the packets that it has received. */
const LOOK_MS = 100;

/** Runs in the page: records the states that the app shows, and the longest time without a packet of audio. */
function watchInPage(lookMs) {
  const seen = { states: [], lastAt: performance.now(), longestMs: 0 };
  window.seen = seen;
  const note = () => {
    const shown = document.querySelector('[data-session]');
    if (!shown) return;
    const { session, online, recovery = '' } = shown.dataset;
    const state = `${session} ${online === 'true' ? 'online' : 'offline'} ${recovery}`.trim();
    if (seen.states.at(-1) !== state) seen.states.push(state);
  };
  note();
  const observer = new MutationObserver(note);
  observer.observe(document.body, { subtree: true, childList: true, attributes: true });
  let before = 0;
  const look = async () => {
    const report = await window.__leat.call?.getStats('recv').catch(() => null);
    let packets = 0;
    for (const stats of report?.values() ?? [])
      if (stats.type === 'inbound-rtp' && stats.kind === 'audio') packets += stats.packetsReceived;
    const now = performance.now();
    // New transports count from zero.
    if (packets > 0 && packets !== before) {
      seen.longestMs = Math.max(seen.longestMs, now - seen.lastAt);
      seen.lastAt = now;
    }
    before = packets;
    if (window.seen === seen) setTimeout(look, lookMs);
    else observer.disconnect();
  };
  void look();
}

/** Begins to watch. An earlier watch of the page ends. */
export const watchGaps = (peer) => peer.page.evaluate(watchInPage, LOOK_MS);

/** `states`: those that were shown, in their order. `longestMs`: the longest time without audio. */
export const gapsOf = (peer) =>
  peer.page.evaluate(() => ({ states: window.seen.states, longestMs: Math.round(window.seen.longestMs) }));
