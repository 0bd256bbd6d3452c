/**
 * Slots of an engine that are free, and whose states they still hold: a conversation that goes on
 * finds its own there, others get what was empty first, then what has been left longest.
 */

/** A slot that was free. */
export interface AcquiredSlot {
  slot: number;
  /** Whether it holds the state that was asked for. */
  warm: boolean;
}

interface FreeSlot {
  slot: number;
  /** Names the state in it; `null`: nobody will ask for it. */
  key: string | null;
  /** Which giving-back left it so. */
  releaseId: number;
}

export class Slots {
  /** Those that nobody will ask for first, then by how long they have been left. */
  readonly #free: FreeSlot[];
  #leases = 0;

  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, slot) => ({ slot, key: null, releaseId: 0 }));
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /** Takes the slot that holds the state `key`, or else the one that is missed least. */
  acquire(key: string | null): AcquiredSlot | undefined {
    const at = key === null ? -1 : this.#free.findIndex((free) => free.key === key);
    if (at >= 0) return { slot: this.#free.splice(at, 1)[0].slot, warm: true };
    const free = this.#free.shift();
    return free && { slot: free.slot, warm: false };
  }

  /** Nobody will ask for what is in any slot, nor name it. */
  clearKeys(): void {
    for (const free of this.#free) {
      free.key = null;
      free.releaseId = 0;
    }
  }

  /** Gives a slot back. Returns by what `keep` will know it. */
  release(slot: number): number {
    const lease = ++this.#leases;
    this.#free.unshift({ slot, key: null, releaseId: lease });
    return lease;
  }

  /**
   * Names the state that a slot was given back with.
   *
   * @returns The slot, or `null` if it has been taken since.
   */
  keepWarm(lease: number, key: string): number | null {
    const at = this.#free.findIndex((free) => free.releaseId === lease);
    if (at < 0) return null;
    const [free] = this.#free.splice(at, 1);
    this.#free.push({ ...free, key });
    return free.slot;
  }
}
