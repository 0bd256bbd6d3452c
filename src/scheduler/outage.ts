/** The time in which there is no engine, since one has failed and the next one is being opened. */

/** Milliseconds after which waiting turns are looked at, as some may have been cancelled. */
const MOMENT_MS = 250;

export class Outage {
  /** Settles when there is an engine, or none any more. */
  #renewing: Promise<void> | null = null;
  #end: { error: unknown } | null = null;

  /** Whether there is no engine. */
  get isActive(): boolean {
    return this.#renewing !== null || this.#end !== null;
  }

  /** Why there will be none any more; `null` while there is hope. */
  get fatalError(): unknown {
    return this.#end === null ? null : this.#end.error;
  }

  /** Throws why there will be no engine any more, where that is so. */
  throwIfFatal(): void {
    if (this.#end) throw this.#end.error;
  }

  /** @param renewed Resolves when there is one again; rejects if there will be none. */
  begin(renewed: Promise<void>): void {
    const renewing = renewed.catch((error) => {
      this.#end = { error };
    }).then(() => {
      // Another one may have failed since.
      if (this.#renewing === renewing) this.#renewing = null;
    });
    this.#renewing = renewing;
  }

  /** Resolves when something has changed, or after a moment. */
  async waitForChange(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const moment = new Promise<void>((resolve) => timer = setTimeout(resolve, MOMENT_MS));
    try {
      await Promise.race([this.#renewing, moment]);
    } finally {
      clearTimeout(timer);
    }
  }
}
