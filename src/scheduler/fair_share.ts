/**
 * Shares an engine's time among keys (tenants) when steps with the turns of all keys would take
 * much longer than steps with the turns of one key.
 *
 * Each key has a virtual time: the engine time that it has used. If a shared step is too slow for
 * one of the keys, each step serves only the key with the least virtual time, as Linux's completely
 * fair scheduler does. A key without competitors gets all of the time.
 */

import { groupBy } from "../core/group_by.ts";
import type { StepCosts } from "./step_controller.ts";

/** Engine time in milliseconds by which a new key has priority. Short turns end within it. */
const CREDIT_MS = 150;

export class FairShare {
  readonly #costs: StepCosts;
  /** Milliseconds by key, for active keys and for inactive keys that are ahead of them. */
  readonly #virtualTimes = new Map<string, number>();
  #active: ReadonlySet<string> = new Set();

  constructor(costs: StepCosts) {
    this.#costs = costs;
  }

  /** Sets the active keys. A returning key keeps its virtual time if others have not caught up. */
  update(active: ReadonlySet<string>): void {
    const remaining = [...active].filter((key) => this.#active.has(key));
    const start = Math.min(...remaining.map((key) => this.virtualTime(key))) - CREDIT_MS;
    for (const key of active) {
      if (this.#active.has(key)) continue;
      this.#virtualTimes.set(
        key,
        remaining.length === 0 ? 0 : Math.max(this.virtualTime(key), start),
      );
    }
    for (const key of this.#virtualTimes.keys()) {
      if (!active.has(key) && (remaining.length === 0 || this.virtualTime(key) <= start)) {
        this.#virtualTimes.delete(key);
      }
    }
    this.#active = active;
  }

  /** Returns the turns of the next step: all turns, or those of one key. */
  select<T extends { readonly fairnessKey: string }>(turns: readonly T[]): readonly T[] {
    const keys = groupBy(turns, ({ fairnessKey }) => fairnessKey);
    if (keys.size < 2) return turns;
    const fewest = Math.min(...[...keys.values()].map(({ length }) => length));
    const costOf = (count: number) => this.#costs.estimate(count) ?? count;
    // A shared step is no slower for any key than serving the keys one at a time.
    if (costOf(turns.length) <= keys.size * costOf(fewest)) return turns;
    const [first] = [...keys.keys()].sort((a, b) => this.virtualTime(a) - this.virtualTime(b));
    return keys.get(first)!;
  }

  /** Charges `ms` milliseconds of engine time to the keys of the served turns. */
  charge(turns: readonly { readonly fairnessKey: string }[], ms: number): void {
    for (const { fairnessKey } of turns) {
      this.#virtualTimes.set(fairnessKey, this.virtualTime(fairnessKey) + ms / turns.length);
    }
  }

  /** Returns the virtual time of a key in milliseconds. */
  virtualTime(key: string): number {
    return this.#virtualTimes.get(key) ?? 0;
  }
}
