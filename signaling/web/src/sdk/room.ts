// The state of the room and the wishes of this client: the peers and their sources, the client's own sources,
// and the sizes shown. Notifications, refusals and the user change it; `sync.ts` compares it with the media.

import { type Access, initialAccess } from './access';
import type { Layers } from './layers';
import type { Media } from './media';
import type { CallNotice, NoticeCode } from './notice';
import type { Consequence } from './refusals';
import { emptyRoster, ownerOf, type RemoteSource, type Roster, removeChannel, removeSource } from './roster';
import type { LocalSource, Subscribers, VideoReception } from './sources';
import type { Wanted } from './sync';

/** Labels of data channels with this beginning belong to the SDK. */
export const SDK_LABELS = 'leat.';
/** Of the channels for file transfer. */
export const FILES_LABEL = 'leat.files';

export class Room implements Wanted {
  roster: Roster = emptyRoster;
  access: Access = initialAccess;
  readonly local = new Map<string, LocalSource>();
  readonly subscribers = new Map<string, Subscribers>();
  readonly unplayable = new Set<string>();
  readonly lines = new Map<string, number>();
  readonly pinned = new Map<string, Layers>();
  videoReception: VideoReception = 'on';
  readonly #noticesGiven = new Set<NoticeCode>();

  setSource(source: string, track: MediaStreamTrack | null, paused: boolean): void {
    if (track) this.local.set(source, { source, kind: track.kind === 'audio' ? 'audio' : 'video', track, paused });
    else this.local.delete(source);
  }

  /** False when nothing has changed. */
  setPaused(source: string, paused: boolean): boolean {
    const local = this.local.get(source);
    if (!local || local.paused === paused) return false;
    this.local.set(source, { ...local, paused });
    return true;
  }

  pinLayers(producerId: string, layers: Layers | null): void {
    if (layers) this.pinned.set(producerId, layers);
    else this.pinned.delete(producerId);
  }

  removeSource(producerId: string): void {
    this.roster = removeSource(this.roster, producerId);
  }

  removeChannel(dataProducerId: string): void {
    this.roster = removeChannel(this.roster, dataProducerId);
  }

  /** The next transports may receive what these could not. */
  retryChannels(): void {
    for (const { channels } of this.roster.values()) for (const id of channels.keys()) this.unplayable.delete(id);
  }

  /** Labels that begin with `leat.` belong to the SDK, which may have others in later versions. */
  wantsChannel(label: string): boolean {
    return label === FILES_LABEL || !label.startsWith(SDK_LABELS);
  }

  /** Removes sizes and layers of producers that are not in the room. */
  prune(): void {
    for (const map of [this.lines, this.pinned]) {
      for (const id of map.keys()) if (!ownerOf(this.roster, id)) map.delete(id);
    }
  }

  /** True when every local source has a producer, or cannot have one. */
  isSending(media: Pick<Media, 'outgoing' | 'canProduce'>): boolean {
    return [...this.local.values()].every(({ source, kind }) => media.outgoing.has(source) || !media.canProduce(kind));
  }

  /** True when media flows, or there is none that could. */
  isCarried(media: Pick<Media, 'isCarrying' | 'canProduce'>): boolean {
    if (media.isCarrying) return true;
    const sends = [...this.local.values()].some(({ kind }) => media.canProduce(kind));
    const isReceived = ({ id, kind }: RemoteSource) =>
      !this.unplayable.has(id) && (kind === 'audio' || this.videoReception === 'on');
    const receives = [...this.roster.values()].some(({ sources }) => [...sources.values()].some(isReceived));
    return !sends && !receives;
  }

  /** Applies the consequence of a refusal. Returns the notice for the user, if there is one. */
  accept(consequence: Consequence, media: Pick<Media, 'forgetConsumer' | 'forgetProducer' | 'hints'>): CallNotice | null {
    const { notice = null, noticeOnce } = consequence;
    if (consequence.removeSource) this.removeSource(consequence.removeSource);
    if (consequence.removeChannel) this.removeChannel(consequence.removeChannel);
    if (consequence.unplayable) this.unplayable.add(consequence.unplayable);
    if (consequence.pauseSource) this.setPaused(consequence.pauseSource, true);
    if (consequence.stopSource) this.local.delete(consequence.stopSource);
    if (consequence.forgetConsumer) media.forgetConsumer(consequence.forgetConsumer);
    if (consequence.forgetProducer) media.forgetProducer(consequence.forgetProducer);
    if (consequence.dropBackup) media.hints.backups.delete(consequence.dropBackup);
    if (notice === null || (noticeOnce && this.#noticesGiven.has(notice.code))) return null;
    this.#noticesGiven.add(notice.code);
    return notice;
  }
}
