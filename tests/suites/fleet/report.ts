/** Collects the results of checks and prints a line for each. */

export interface Check {
  what: string;
  figure: string;
  holds: boolean;
}

export class Report {
  readonly checks: Check[] = [];
  readonly #print: (line: string) => void;
  readonly #signal: AbortSignal;

  /** @param signal Makes {@linkcode Report.try} throw when it is aborted. */
  constructor(print: (line: string) => void, signal: AbortSignal) {
    this.#print = print;
    this.#signal = signal;
  }

  get holds(): boolean {
    return this.checks.every(({ holds }) => holds);
  }

  add(what: string, figure: string, holds: boolean): void {
    this.checks.push({ what, figure, holds });
    this.#print(`${holds ? "pass" : "FAIL"}  ${what}: ${figure}`);
  }

  /** Adds a check that returns its figure or throws. */
  async try(what: string, check: () => Promise<string>): Promise<void> {
    this.#signal.throwIfAborted();
    try {
      this.add(what, await check(), true);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.add(what, error instanceof Error ? error.message : String(error), false);
    }
  }

  /** Adds a check of many items, all of which must be correct. */
  count(what: string, correct: number, all: number): void {
    this.add(what, `${correct} of ${all}`, correct === all && all > 0);
  }
}
