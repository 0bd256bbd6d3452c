/** What a slot that samples looks like in device memory: words of a turn, and where else it has room. */

/** Words of a slot, each a `u32` or the bits of an `f32`, by name; `bits` begins the last ones. */
export const SLOT = {
  /** 1 while the turn goes on; then its steps change nothing. */
  active: 0,
  /** The token sampled last, which is read next. */
  token: 1,
  /** Tokens that may yet be sampled. */
  left: 2,
  seed: 4,
  position: 6,
  temperature: 8,
  topP: 9,
  topK: 10,
  presencePenalty: 11,
  frequencyPenalty: 12,
  penaltyDecay: 13,
  /** 1 where penalties are to be counted. */
  counting: 14,
  /** Id that ends the turn, or `NO_TOKEN`. */
  endToken: 15,
  /** Words of the stop strings' sets, and 1 where a stop string had been found before. */
  stopWords: 16,
  stopFound: 17,
  bits: 20,
} as const;

/** Words that a set of stop strings' bytes takes at most. */
export const STOP_WORDS = 64;

export const SLOT_WORDS = SLOT.bits + STOP_WORDS;

/** Words of a slot's stop strings: a set by byte, then the firsts and the lasts. */
export const STOPS_STRIDE = 258 * STOP_WORDS;

/** No id. */
export const NO_TOKEN = 0xffffffff;

/** Why a turn has ended. */
export const FINISH = { none: 0, stop: 1, length: 2, notFinite: 3, allBanned: 4 } as const;

/** Added to the logits of ids that must not be sampled; whatever is as low as half of it is banned. */
export const BANNED_BIAS = -1e30;

/** Words before the ids in a slot's row of what a window has written: how many, and its end. */
export const SAMPLED_HEADER = 2;

/** WGSL constants for all of these. */
export function slotConstants(): Record<string, number> {
  const words = Object.entries(SLOT).map(([name, word]) => [`SLOT_${constantCase(name)}`, word]);
  const ends = Object.entries(FINISH).map(([name, value]) => [`END_${constantCase(name)}`, value]);
  return {
    ...Object.fromEntries([...words, ...ends]),
    SLOT_WORDS,
    STOP_WORDS,
    STOPS_STRIDE,
    NO_TOKEN,
    WRITTEN_HEADER: SAMPLED_HEADER,
  };
}

function constantCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
