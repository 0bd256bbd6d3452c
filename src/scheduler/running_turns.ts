/** Turns in slots: loads their states, forks shared prompts and reads states back at the end. */

import type { SamplingEngine } from "../engine/engine.ts";
import type { ScheduledTurn } from "./scheduled_turn.ts";
import type { SchedulerStats } from "./scheduler_stats.ts";
import type { GenerationResult, StateSource } from "./scheduler_types.ts";

export interface RunningTurnsOptions {
  engine: SamplingEngine;
  stats: SchedulerStats;
  /** Returns milliseconds. */
  clock: () => number;
}

/**
 * The set of turns in slots. It does not await engine calls whose results it does not need, because
 * the engine executes calls in order.
 */
export class RunningTurns implements Iterable<ScheduledTurn> {
  readonly #options: RunningTurnsOptions;
  readonly #slots: Slots;
  readonly #turns = new Set<ScheduledTurn>();
  /** Pending transfers of states to slots, and from slots. */
  readonly #loading = new Set<Promise<void>>();
  readonly #ending = new Set<Promise<void>>();
  /** The release id of the slot of each ended turn. */
  readonly #releaseIds = new WeakMap<ScheduledTurn, number>();

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

  /** Assigns a free slot to a turn and loads its state. At least one slot must be free. */
  add(turn: ScheduledTurn): void {
    const { state } = turn;
    const { slot, warm } = this.#slots.acquire(state?.stateKey ?? null)!;
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
   * Copies the state of turns whose prompt is processed except for its last token to their
   * followers.
   *
   * @returns The followers without a free slot. They start later from a copy of the state.
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
      copy.catch(() => {}); // The load of the turn reports it
      for (const turn of waiting) turn.state = { stateKey: null, load: () => copy };
      return waiting;
    });
  }

  /** Removes a turn without steps in flight from its slot, to continue in another slot. */
  suspend(turn: ScheduledTurn): void {
    const { engine, clock, stats } = this.#options;
    const state = turn.isUnstarted ? null : engine.readState(turn.slot);
    state?.catch(() => {}); // The load of the turn reports it
    this.#turns.delete(turn);
    this.#slots.release(turn.slot);
    turn.suspend(state, clock());
    stats.total.preemptions++;
  }

  /** Ends a turn with the state of its slot and frees the slot immediately. */
  finish(turn: ScheduledTurn, reason: GenerationResult["reason"]): void {
    this.endWith(turn, reason, () => this.#options.engine.readState(turn.slot));
    this.#release(turn);
  }

  /** Ends a turn, in a slot or not. Reads the state only if the turn has changed it. */
  endWith(
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

  /** Fails all turns and forgets the states in all slots, because the states are unknown now. */
  failAll(error: unknown): void {
    for (const turn of [...this.#turns]) this.fail(turn, error);
    this.#slots.clearKeys();
  }

  /**
   * Names the state that an ended turn left in its slot. Replaces the state first if one is given.
   */
  keepWarm(turn: ScheduledTurn, key: string, state?: Float32Array): void {
    const releaseId = this.#releaseIds.get(turn);
    const slot = releaseId === undefined ? null : this.#slots.keepWarm(releaseId, key);
    if (slot === null || state === undefined) return;
    this.#options.engine.writeState(slot, state).catch(() => this.#slots.clearKeys());
  }

  /** Resolves when any pending load has finished, or immediately if there is none. */
  async waitForLoad(): Promise<void> {
    await Promise.race([...this.#loading, ...(this.#loading.size === 0 ? [null] : [])]);
  }

  /** Resolves when all ended turns have their final states. */
  async drain(): Promise<void> {
    await Promise.all(this.#ending);
  }

  #place(turn: ScheduledTurn, slot: number): void {
    const { clock, stats } = this.#options;
    turn.assignSlot(slot, clock());
    stats.total.queueSeconds += (turn.startedAt - turn.waitingSince) / 1000;
    this.#turns.add(turn);
  }

  /** Starts sampling in the slot, after the state that is being written to it. */
  #begin(turn: ScheduledTurn, placed?: Promise<void>): void {
    const { slot, sampling } = turn;
    Promise.all([placed, sampling && this.#options.engine.startSampling(slot, sampling)])
      .catch((error) => this.#failPlaced(turn, error));
  }

  #load(turn: ScheduledTurn, source: StateSource): void {
    turn.loading = true;
    const loading = source.load().then((state) => {
      turn.loading = false;
      // The turn may have failed meanwhile, and the slot may belong to another turn.
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
    const { clock, stats } = this.#options;
    this.#turns.delete(turn);
    this.#releaseIds.set(turn, this.#slots.release(turn.slot));
    stats.turnEnded(clock() - turn.startedAt);
  }
}

/** A slot that was free. */
export interface AcquiredSlot {
  slot: number;
  /** Whether the slot contains the requested state. */
  warm: boolean;
}

interface FreeSlot {
  slot: number;
  /** Key of the state in the slot; `null` if no turn can request it. */
  key: string | null;
  /** Identifies the last release of the slot; 0 after `clearKeys`. */
  releaseId: number;
}

export class Slots {
  /** Slots without a key first, then the least recently used ones. */
  readonly #free: FreeSlot[];
  #releaseIds = 0;

  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, slot) => ({ slot, key: null, releaseId: 0 }));
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /** Takes the slot with the state `key`, or else the first slot of the list. */
  acquire(key: string | null): AcquiredSlot | undefined {
    const index = key === null ? -1 : this.#free.findIndex((free) => free.key === key);
    if (index >= 0) return { slot: this.#free.splice(index, 1)[0].slot, warm: true };
    const free = this.#free.shift();
    return free && { slot: free.slot, warm: false };
  }

  /** Clears the keys and the release ids of all free slots. */
  clearKeys(): void {
    for (const free of this.#free) {
      free.key = null;
      free.releaseId = 0;
    }
  }

  /** Releases a slot. Returns the release id for `keepWarm`. */
  release(slot: number): number {
    const releaseId = ++this.#releaseIds;
    this.#free.unshift({ slot, key: null, releaseId });
    return releaseId;
  }

  /**
   * Names the state with which a slot was released.
   *
   * @returns The slot, or `null` if it has been taken since.
   */
  keepWarm(releaseId: number, key: string): number | null {
    const index = this.#free.findIndex((free) => free.releaseId === releaseId);
    if (index < 0) return null;
    const [free] = this.#free.splice(index, 1);
    this.#free.push({ ...free, key });
    return free.slot;
  }
}
