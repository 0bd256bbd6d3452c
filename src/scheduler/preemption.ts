/** Selects the turn that gives its slot to a waiting turn: a pure function. */

/** The fields of a running turn that the selection reads. */
export interface PreemptableTurn {
  readonly fairnessKey: string;
  /** Whether the turn is marked for preemption already. */
  readonly preempted: boolean;
  /** Set when the turn has ended. Such a turn releases its slot anyway. */
  readonly finishReason: unknown;
  /** Time of the slot assignment in milliseconds. */
  readonly startedAt: number;
  /** Whether a step has processed tokens of the turn in this slot. */
  readonly hasStepped: boolean;
}

/** Milliseconds for which a turn keeps its slot when there are fewer slots than keys. */
const QUANTUM_MS = 1000;

/**
 * Returns the turn that must leave its slot when all slots are taken and turns of `key` wait. Slots
 * are shared evenly: a key gives a slot to another key that has at least two fewer. If there are
 * fewer slots than keys, a key that has had a slot for one second gives it to a key without one.
 *
 * @param waiting Number of waiting turns of `key`.
 */
export function turnToPreempt<T extends PreemptableTurn>(
  running: Iterable<T>,
  { key, waiting, now }: { key: string; waiting: number; now: number },
): T | undefined {
  const staying: T[] = [];
  const counts = new Map<string, number>();
  let leaving = 0;
  for (const turn of running) {
    if (turn.preempted || turn.finishReason !== null) {
      leaving++;
    } else {
      staying.push(turn);
      counts.set(turn.fairnessKey, (counts.get(turn.fairnessKey) ?? 0) + 1);
    }
  }
  if (leaving >= waiting) return undefined;
  const keySlots = (counts.get(key) ?? 0) + leaving;
  const others = staying.filter((turn) => turn.fairnessKey !== key);
  const mostSlots = Math.max(0, ...others.map((turn) => counts.get(turn.fairnessKey)!));
  const candidates = others.filter((turn) => counts.get(turn.fairnessKey) === mostSlots);
  // The turn with the latest start loses the least progress.
  if (mostSlots >= keySlots + 2) {
    return candidates.reduce((a, b) => b.startedAt >= a.startedAt ? b : a);
  }
  if (keySlots > 0) return undefined;
  return candidates
    .filter(({ startedAt, hasStepped }) => hasStepped && now - startedAt >= QUANTUM_MS)
    .sort((a, b) => a.startedAt - b.startedAt)[0];
}
