/** What is checked, with its figure: a line each as it becomes known. */

export interface Check {
  what: string;
  figure: string;
  holds: boolean;
}

export class Report {
  readonly checks: Check[] = [];
  readonly #print: (line: string) => void;
  readonly #signal: AbortSignal;

  /** @param signal When it is aborted, what is tried throws. */
  constructor(print: (line: string) => void, signal: AbortSignal) {
    this.#print = print;
    this.#signal = signal;
  }

  get holds(): boolean {
    return this.checks.every(({ holds }) => holds);
  }

  add(what: string, figure: string, holds: boolean): void {
    this.checks.push({ what, figure, holds });
    this.#print(`${holds ? "holds" : "FAILS"}  ${what}: ${figure}`);
  }

  /** For what is so or throws. */
  async try(what: string, check: () => Promise<string>): Promise<void> {
    this.#signal.throwIfAborted();
    try {
      this.add(what, await check(), true);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.add(what, error instanceof Error ? error.message : String(error), false);
    }
  }

  /** For many of a kind, all of which are to be right. */
  count(what: string, right: number, all: number): void {
    this.add(what, `${right} of ${all}`, right === all && all > 0);
  }
}
