/** Timers whose time passes only when a test advances it. */

import type { Timers } from "../../../src/engine/supervisor/call_watchdog.ts";

interface PendingTimer {
  at: number;
  then: () => void;
}

export class FakeTimers implements Timers {
  #now = 0;
  readonly #pending = new Set<PendingTimer>();

  now = (): number => this.#now;

  after = (milliseconds: number, then: () => void): () => void => {
    const timer = { at: this.#now + milliseconds, then };
    this.#pending.add(timer);
    return () => this.#pending.delete(timer);
  };

  /** Advances the time and runs due timers in order. */
  advance(milliseconds: number): void {
    const until = this.#now + milliseconds;
    while (true) {
      const [next] = [...this.#pending].sort((a, b) => a.at - b.at);
      if (!next || next.at > until) break;
      this.#pending.delete(next);
      this.#now = next.at;
      next.then();
    }
    this.#now = until;
  }

  /** Advances the time repeatedly until `done` settles. */
  async advanceUntil<T>(done: Promise<T>, milliseconds: number): Promise<T> {
    let settled = false;
    const settle = () => settled = true;
    done.then(settle, settle);
    while (!settled) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      this.advance(milliseconds);
    }
    return await done;
  }
}
