/**
 * Shares an engine's time among keys (tenants), where steps with the turns of all keys would take
 * much longer than those with the turns of one.
 *
 * Each key has a virtual time: the engine time that it has used. If a shared step is too slow for
 * one of them, steps serve one key at a time, the one with the least virtual time, as in the
 * completely fair scheduler of Linux. Alone, a key gets all the time there is.
 */

import { groupBy } from "../core/group_by.ts";
import type { StepCosts } from "./step_controller.ts";

/** Milliseconds of engine time that a key may use first when it comes: short turns end within it. */
const CREDIT_MS = 150;

export class FairShare {
  readonly #costs: StepCosts;
  /** Milliseconds by key: of those that are active, and of others that have used more lately. */
  readonly #used = new Map<string, number>();
  #active: ReadonlySet<string> = new Set();

  constructor(costs: StepCosts) {
    this.#costs = costs;
  }

  /** Told which keys have turns now. A key that comes back goes on from the time that it has used. */
  update(active: ReadonlySet<string>): void {
    const stayed = [...active].filter((key) => this.#active.has(key));
    const start = Math.min(...stayed.map((key) => this.virtualTime(key))) - CREDIT_MS;
    for (const key of active) {
      if (this.#active.has(key)) continue;
      this.#used.set(key, stayed.length === 0 ? 0 : Math.max(this.virtualTime(key), start));
    }
    for (const key of this.#used.keys()) {
      if (!active.has(key) && (stayed.length === 0 || this.virtualTime(key) <= start)) {
        this.#used.delete(key);
      }
    }
    this.#active = active;
  }

  /** The turns that take part in the next step: all, or those of one key. */
  select<T extends { readonly fairnessKey: string }>(turns: readonly T[]): readonly T[] {
    const keys = groupBy(turns, ({ fairnessKey }) => fairnessKey);
    if (keys.size < 2) return turns;
    const fewest = Math.min(...[...keys.values()].map(({ length }) => length));
    const costOf = (count: number) => this.#costs.estimate(count) ?? count;
    // One at a time, each key gets its part of the time.
    if (costOf(turns.length) <= keys.size * costOf(fewest)) return turns;
    const [first] = [...keys.keys()].sort((a, b) => this.virtualTime(a) - this.virtualTime(b));
    return keys.get(first)!;
  }

  /** Charges `ms` milliseconds of the engine to the keys of the turns that it served. */
  charge(turns: readonly { readonly fairnessKey: string }[], ms: number): void {
    for (const { fairnessKey: key } of turns) {
      this.#used.set(key, this.virtualTime(key) + ms / turns.length);
    }
  }

  /** Milliseconds that a key has used, by its virtual time. */
  virtualTime(key: string): number {
    return this.#used.get(key) ?? 0;
  }
}
