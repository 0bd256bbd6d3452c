/** How many steps are done at once before their tokens are read. */

/** Milliseconds that a window aims at: text then comes smoothly, and read-backs are few. */
const WINDOW_MS = 40;

/** Short at first, then twice as long each time until it takes `WINDOW_MS`. */
export class WindowLength {
  readonly #most: number;
  #steps = 1;
  /** Milliseconds of a step, a moving mean. */
  #stepMs: number | null = null;

  /** @param most Steps that the engine takes at most. */
  constructor(most: number) {
    this.#most = most;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Somebody waits for a first token, or has just had it. */
  restart(): void {
    this.#steps = 1;
  }

  /** A window of `steps` steps took `ms` milliseconds. */
  measured(steps: number, ms: number): void {
    const stepMs = ms / steps;
    this.#stepMs = this.#stepMs === null ? stepMs : (this.#stepMs + stepMs) / 2;
    const fitting = Math.floor(WINDOW_MS / this.#stepMs);
    this.#steps = Math.max(1, Math.min(2 * this.#steps, fitting, this.#most));
  }
}
