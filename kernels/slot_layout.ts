/** The device-memory layout of a slot's sampling state. */

/** Word offsets within a slot. Each word is a `u32` or the bits of an `f32`. */
export const SLOT = {
  /** 1 while the turn runs; a finished turn's steps change nothing. */
  active: 0,
  /** The last sampled token, which is the next input. */
  token: 1,
  /** Number of tokens that may still be sampled. */
  remaining: 2,
  seed: 4,
  position: 6,
  temperature: 8,
  topP: 9,
  topK: 10,
  presencePenalty: 11,
  frequencyPenalty: 12,
  penaltyDecay: 13,
  /** 1 if tokens are counted for penalties. */
  countsTokens: 14,
  /** Id that ends the turn, or `NO_TOKEN`. */
  endToken: 15,
  /**
   * Words per stop-string mask, and 1 if a stop string was found before this turn's first token.
   */
  stopWords: 16,
  stopFound: 17,
  stopBits: 20,
} as const;

/** Maximum words per stop-string mask. */
export const STOP_WORDS = 64;

export const SLOT_WORDS = SLOT.stopBits + STOP_WORDS;

/** Words of a slot's stop strings: a mask per byte value, then the start and the end mask. */
export const STOPS_STRIDE = 258 * STOP_WORDS;

/** Marks a missing id. */
export const NO_TOKEN = 0xffffffff;

/** Codes for why a turn ended. */
export const FINISH = { none: 0, stop: 1, length: 2, notFinite: 3, allBanned: 4 } as const;

/** Bias of ids that must not be sampled. Logits at or below half of it count as banned. */
export const BANNED_BIAS = -1e30;

/** Words before the ids in a slot's row of sampled tokens: their number and the finish code. */
export const SAMPLED_HEADER = 2;

/** Returns WGSL constants for all of these. */
export function slotConstants(): Record<string, number> {
  const words = Object.entries(SLOT).map(([name, word]) => [`SLOT_${constantCase(name)}`, word]);
  const finishCodes = Object.entries(FINISH).map((
    [name, value],
  ) => [`FINISH_${constantCase(name)}`, value]);
  return {
    ...Object.fromEntries([...words, ...finishCodes]),
    SLOT_WORDS,
    STOP_WORDS,
    STOPS_STRIDE,
    NO_TOKEN,
    SAMPLED_HEADER,
  };
}

function constantCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
