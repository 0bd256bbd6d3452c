/** How long steps take here, and so how many are done at once and how much of prompts they read. */

/**
 * Milliseconds that a window aims at: text then comes smoothly, and read-backs are few. Windows of one
 * step take up to ten more than the step, so less would keep steps of 15 milliseconds apart for ever.
 */
const WINDOW_MS = 50;

/** Milliseconds by which reading prompts may lengthen a step that somebody's next token waits for. */
const READING_MS = 60;

/** Tokens of prompts that such a step reads however slow that is: else a prompt would not get on. */
const LEAST_READ = 16;

export class Pace {
  readonly #most: number;
  #steps = 1;
  /** Milliseconds of a step that only writes, and of a token of a prompt; moving means. */
  #stepMs: number | null = null;
  #readMs: number | null = null;

  /** @param most Steps that the engine takes at once at most. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Steps to do at once: one at first, then twice as many each time until they take `WINDOW_MS`. */
  get steps(): number {
    return this.#steps;
  }

  /** Tokens of prompts to read in a step in which others write. */
  get besideWriting(): number {
    if (this.#readMs === null) return LEAST_READ;
    return Math.max(LEAST_READ, Math.floor(READING_MS / this.#readMs));
  }

  /** `steps` steps took `ms` milliseconds, in which nothing was read. */
  wrote(steps: number, ms: number): void {
    this.#stepMs = mean(this.#stepMs, ms / steps);
    const fitting = Math.round(WINDOW_MS / this.#stepMs);
    this.#steps = Math.max(1, Math.min(2 * this.#steps, fitting, this.#most));
  }

  /** A step took `ms` milliseconds in which `tokens` tokens of prompts were read. */
  read(tokens: number, ms: number, beside: "writing" | "nothing"): void {
    const own = beside === "writing" ? this.#stepMs ?? 0 : 0;
    this.#readMs = mean(this.#readMs, Math.max(ms - own, ms / 10) / tokens);
    // Somebody waits for a first token, or has just had it.
    this.#steps = 1;
  }
}

function mean(before: number | null, now: number): number {
  return before === null ? now : (before + now) / 2;
}
