/** Tracks the time without an engine, between a failure and the next engine. */

/** Milliseconds between checks of the waiting turns, some of which may have been cancelled. */
const CHECK_INTERVAL_MS = 250;

export class Outage {
  /** Settles when an engine is available again or recovery has failed. */
  #recovery: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;

  /** Whether there is no engine. */
  get isActive(): boolean {
    return this.#recovery !== null || this.#failure !== null;
  }

  /** Why recovery has failed; `null` while it may succeed. */
  get fatalError(): unknown {
    return this.#failure === null ? null : this.#failure.error;
  }

  /** Throws the reason if recovery has failed. */
  throwIfFatal(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /**
   * Starts an outage.
   *
   * @param recovered Resolves when an engine is available again; rejects if recovery has failed.
   */
  begin(recovered: Promise<void>): void {
    const recovery = recovered.catch((error) => {
      this.#failure = { error };
    }).then(() => {
      // A later engine may have failed meanwhile.
      if (this.#recovery === recovery) this.#recovery = null;
    });
    this.#recovery = recovery;
  }

  /** Resolves when the outage has ended or after a short delay. */
  async waitForChange(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const delay = new Promise<void>((resolve) => timer = setTimeout(resolve, CHECK_INTERVAL_MS));
    try {
      await Promise.race([this.#recovery, delay]);
    } finally {
      clearTimeout(timer);
    }
  }
}
