/** Timers whose time passes only when a test advances it. */

import type { Timers } from "../../../src/engine/supervisor/call_watchdog.ts";

interface Waiting {
  at: number;
  then: () => void;
}

export class FakeTimers implements Timers {
  #now = 0;
  readonly #waiting = new Set<Waiting>();

  now = (): number => this.#now;

  after = (milliseconds: number, then: () => void): () => void => {
    const waiting = { at: this.#now + milliseconds, then };
    this.#waiting.add(waiting);
    return () => this.#waiting.delete(waiting);
  };

  /** Advances the time and runs due timers in order. */
  pass(milliseconds: number): void {
    const until = this.#now + milliseconds;
    while (true) {
      const [next] = [...this.#waiting].sort((a, b) => a.at - b.at);
      if (!next || next.at > until) break;
      this.#waiting.delete(next);
      this.#now = next.at;
      next.then();
    }
    this.#now = until;
  }

  /** Advances the time repeatedly until `done` settles. */
  async until<T>(done: Promise<T>, milliseconds: number): Promise<T> {
    let settled = false;
    const settle = () => settled = true;
    done.then(settle, settle);
    while (!settled) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      this.pass(milliseconds);
    }
    return await done;
  }
}
