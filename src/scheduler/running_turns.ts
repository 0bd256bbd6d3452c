/** Turns in slots: how each gets its state there, shares it, and leaves with it. */

import type { SamplingEngine } from "../engine/engine.ts";
import type { ScheduledTurn } from "./scheduled_turn.ts";
import type { SchedulerStats } from "./scheduler_stats.ts";
import type { GenerationResult, StateSource } from "./scheduler_types.ts";

export interface RunningTurnsOptions {
  engine: SamplingEngine;
  stats: SchedulerStats;
  /** Milliseconds. */
  clock: () => number;
}

/**
 * The set of turns in slots. Calls of the engine are not waited for where nothing depends on what
 * they return: it does things in order.
 */
export class RunningTurns implements Iterable<ScheduledTurn> {
  readonly #options: RunningTurnsOptions;
  readonly #slots: Slots;
  readonly #turns = new Set<ScheduledTurn>();
  /** States on their way to slots, and from them. */
  readonly #loading = new Set<Promise<void>>();
  readonly #ending = new Set<Promise<void>>();
  /** What slots were given back as. */
  readonly #leases = new WeakMap<ScheduledTurn, number>();

  constructor(options: RunningTurnsOptions) {
    this.#options = options;
    this.#slots = new Slots(options.engine.info.slots);
  }

  [Symbol.iterator](): Iterator<ScheduledTurn> {
    return this.#turns.values();
  }

  get size(): number {
    return this.#turns.size;
  }

  has(turn: ScheduledTurn): boolean {
    return this.#turns.has(turn);
  }

  get freeSlots(): number {
    return this.#slots.freeCount;
  }

  /** Gives a turn a slot, of which one must be free, and its state. */
  add(turn: ScheduledTurn): void {
    const { state } = turn;
    const { slot, warm } = this.#slots.acquire(state?.fairnessKey ?? null)!;
    this.#place(turn, slot);
    if (warm) {
      this.#options.stats.total.warmSlotHits++;
      this.#begin(turn);
    } else if (state === null) {
      this.#begin(turn, this.#options.engine.writeState(slot, null));
    } else {
      this.#load(turn, state);
    }
  }

  /**
   * Gives the followers of turns whose prompt has been read, but for its last token, copies of
   * their state.
   *
   * @returns Those for which there is no slot: they come to it with a copy of their own.
   */
  fork(): ScheduledTurn[] {
    return [...this.#turns].filter((turn) => turn.canFork).flatMap((leader) => {
      const { engine } = this.#options;
      const followers = leader.detachFollowers();
      const placed = followers.slice(0, this.#slots.freeCount);
      for (const turn of placed) {
        this.#place(turn, this.#slots.acquire(null)!.slot);
        this.#begin(turn, engine.copyState(leader.slot, turn.slot));
      }
      const waiting = followers.slice(placed.length);
      if (waiting.length === 0) return [];
      const copy = engine.readState(leader.slot);
      copy.catch(() => {}); // told when a turn loads it
      for (const turn of waiting) turn.state = { fairnessKey: null, load: () => copy };
      return waiting;
    });
  }

  /** Takes a turn, of which nothing is under way, out of its slot, to go on in another one. */
  suspend(turn: ScheduledTurn): void {
    const { engine, clock, stats: counts } = this.#options;
    const state = turn.isUnstarted ? null : engine.readState(turn.slot);
    state?.catch(() => {}); // told when the turn loads it
    this.#turns.delete(turn);
    this.#slots.release(turn.slot);
    turn.suspend(state, clock());
    counts.total.preemptions++;
  }

  /** Ends a turn with what its slot holds. The slot is free at once. */
  finish(turn: ScheduledTurn, reason: GenerationResult["reason"]): void {
    this.settle(turn, reason, () => this.#options.engine.readState(turn.slot));
    this.#release(turn);
  }

  /** Ends a turn, in a slot or not, with a state that is only read where the turn has changed it. */
  settle(
    turn: ScheduledTurn,
    reason: GenerationResult["reason"],
    read: () => Promise<Float32Array>,
  ): void {
    this.#options.stats.total.turnsEnded += turn.followers.length;
    if (turn.isUnstarted) return turn.finish(reason, null);
    const ending = read().then(
      (state) => turn.finish(reason, state),
      (error) => turn.fail(error),
    ).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  fail(turn: ScheduledTurn, error: unknown): void {
    if (this.#turns.has(turn)) this.#release(turn);
    this.#options.stats.total.turnsEnded += turn.followers.length;
    turn.fail(error);
  }

  /** Fails all turns, of whose states nothing is known any more, nor of those that were kept. */
  failAll(error: unknown): void {
    for (const turn of [...this.#turns]) this.fail(turn, error);
    this.#slots.clearKeys();
  }

  /** Names the state that a turn has left in its slot, after replacing it where another is given. */
  keepWarm(turn: ScheduledTurn, key: string, state?: Float32Array): void {
    const lease = this.#leases.get(turn);
    const slot = lease === undefined ? null : this.#slots.keepWarm(lease, key);
    if (slot === null || state === undefined) return;
    this.#options.engine.writeState(slot, state).catch(() => this.#slots.clearKeys());
  }

  /** Resolves when one of the states that are being loaded is there, at once if none is. */
  async waitForLoad(): Promise<void> {
    await Promise.race([...this.#loading, ...(this.#loading.size === 0 ? [null] : [])]);
  }

  /** Resolves when all turns that were finished have their states. */
  async drain(): Promise<void> {
    await Promise.all(this.#ending);
  }

  #place(turn: ScheduledTurn, slot: number): void {
    const { clock, stats: counts } = this.#options;
    turn.assignSlot(slot, clock());
    counts.total.queueSeconds += (turn.startedAt - turn.waitingSince) / 1000;
    this.#turns.add(turn);
  }

  /** Lets a turn sample from the state that its slot has, or has been told to take. */
  #begin(turn: ScheduledTurn, placed?: Promise<void>): void {
    const { slot, sampling } = turn;
    Promise.all([placed, sampling && this.#options.engine.startSampling(slot, sampling)])
      .catch((error) => this.#failPlaced(turn, error));
  }

  #load(turn: ScheduledTurn, source: StateSource): void {
    turn.loading = true;
    const loading = source.load().then((state) => {
      turn.loading = false;
      // It may have failed with all others, and its slot be another's.
      if (!this.#turns.has(turn)) return;
      this.#begin(turn, this.#options.engine.writeState(turn.slot, state));
    }).catch((error) => this.#failPlaced(turn, error))
      .finally(() => this.#loading.delete(loading));
    this.#loading.add(loading);
  }

  /** Fails a turn unless it has ended meanwhile. */
  #failPlaced(turn: ScheduledTurn, error: unknown): void {
    if (this.#turns.has(turn)) this.fail(turn, error);
  }

  #release(turn: ScheduledTurn): void {
    const { clock, stats: counts } = this.#options;
    this.#turns.delete(turn);
    this.#leases.set(turn, this.#slots.release(turn.slot));
    counts.turnsEnded(clock() - turn.startedAt);
  }
}

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
