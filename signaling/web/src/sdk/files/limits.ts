// The bounds of file transfer. `docs/files.md` lists them; a test compares both.

/** Data of one chunk, in bytes. The wire form has one length for all chunks of a file, and this is its limit. */
export const CHUNK_BYTES_MAX = 65_536;
/** Chunks of one file. Each side holds one bit for each of them. */
export const CHUNKS_MAX = 1_048_576;
/** Bytes of one file: all chunks at their full length. Larger offers are declined. */
export const FILE_BYTES_MAX = 68_719_476_736;
/** One message, in bytes: a chunk and its header. Longer ones are ignored before they are parsed. */
export const MESSAGE_BYTES_MAX = 69_632;
/** Ranges of one MissingRanges; the rest follows in later ones. */
export const RANGES_MAX = 256;
/** The length of a file's name in bytes of UTF-8, after it was cleaned. */
export const NAME_BYTES_MAX = 200;

/** Offers of one peer that wait for an answer. More are declined. */
export const OFFERS_OPEN_MAX = 8;
/** Accepted, unfinished files of one peer. More offers are declined. */
export const TRANSFERS_PER_SENDER_MAX = 16;
/** Bytes of the offered and accepted, unfinished files of one peer. Larger offers are declined. */
export const BYTES_PER_SENDER_MAX = 137_438_953_472;
/** Ended transfers that are remembered, beside received files. The oldest is forgotten first. */
export const ENDED_MAX = 256;

/** The sender stops when the channel holds this many bytes, and continues at `BUFFER_LOW_BYTES`. */
export const BUFFER_HIGH_BYTES = 1_048_576;
export const BUFFER_LOW_BYTES = 262_144;
/** Messages that wait for one channel of a room to open. More are dropped, as if they were lost on the way. */
export const WAITING_MESSAGES_MAX = 64;
/**
 * Chunks on the way to one receiver without a confirmation. The window begins with `WINDOW_START_CHUNKS`, grows by
 * one for each window that arrives, and is halved after a loss, because a queue on the path was full.
 */
export const WINDOW_MAX_CHUNKS = 64;
export const WINDOW_MIN_CHUNKS = 2;
export const WINDOW_START_CHUNKS = 16;
/** A chunk is lost when this many chunks that were sent after it are confirmed. */
export const REORDER_CHUNKS = 8;
/** The receiver confirms after this many chunks. */
export const CONFIRM_CHUNKS = 4;
/** Accepted chunks of one file that wait for the hash or the store of the receiver. More are dropped, and sent again. */
export const UNSTORED_CHUNKS_MAX = 64;

/** Corrupt chunks of one file. Each is requested again; one more ends the transfer. */
export const CORRUPT_CHUNKS_MAX = 64;
/** Chunks that a receiver has already, beside one for each chunk of the file. One more ends the transfer. */
export const DUPLICATES_MAX = 1_024;

/**
 * A receiver accepts a file at most this often, for example after reloads. Each time, what it has not stored is sent
 * again; one more ends the transfer.
 */
export const RESTARTS_MAX = 100;

/** Without a confirmation for this long, the sender requests one; again after twice the time, up to the second value. */
export const QUERY_MS = 1_000;
export const QUERY_MS_MAX = 15_000;
/** An offer without an answer is repeated after this time. */
export const OFFER_REPEAT_MS = 10_000;
/** An offer without an answer ends after this time. */
export const OFFER_MS_MAX = 600_000;
/** A receiver that does not answer the sender for this time, while the channel is open, has ended the transfer. */
export const SILENCE_MS_MAX = 120_000;
/** A peer that left the room may return within this time, for example after a reload, and continue. */
export const RETURN_MS_MAX = 60_000;
/** A receiver without chunks sends what it misses after this time, so that it learns of a cancel that was lost. */
export const RECEIVER_REPEAT_MS = 15_000;
/** A file of an earlier page that is not continued is deleted after this time. */
export const KEPT_MS_MAX = 604_800_000;

/** Bytes that the sender reads from a file at once, and holds. */
export const READ_BYTES = 524_288;
/** Chunks that are stored together. A segment is written when it is whole; after a reload, others are sent again. */
export const SEGMENT_CHUNKS = 64;
/** Segments that a receiver holds in memory. A chunk of one more is dropped, and sent again. */
export const SEGMENTS_OPEN_MAX = 4;
/** A file up to this size can be received without a private file system, in memory. */
export const MEMORY_FILE_BYTES_MAX = 67_108_864;
/** How often timeouts are checked, and progress is shown. */
export const TICK_MS = 250;
