/** Which turn leaves its slot to one that waits: a pure function. */

/** A turn in a slot, as this sees it. */
export interface PreemptableTurn {
  readonly fairnessKey: string;
  /** Whether it leaves its slot already. */
  readonly preempted: boolean;
  /** Why it has ended, once it has: it leaves its slot anyway. */
  readonly finishReason: unknown;
  /** When it got its slot, in milliseconds. */
  readonly startedAt: number;
  /** Whether a step has hasStepped it there. */
  readonly hasStepped: boolean;
}

/** Milliseconds for which a turn keeps its slot where there are fewer slots than keys. */
const QUANTUM_MS = 1000;

/**
 * The turn that must leave its slot, where all are taken and turns of `key` wait for one. Slots are
 * shared evenly among keys: a key gives one up to another that has at least two fewer; where there are
 * fewer slots than keys, a key that has had its slot for a second gives it up to one that has none.
 *
 * @param waiting Turns of `key` that wait.
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
  const own = (counts.get(key) ?? 0) + leaving;
  const others = staying.filter((turn) => turn.fairnessKey !== key);
  const most = Math.max(0, ...others.map((turn) => counts.get(turn.fairnessKey)!));
  const candidates = others.filter((turn) => counts.get(turn.fairnessKey) === most);
  // The one that came into its slot last has the least to lose.
  if (most >= own + 2) return candidates.reduce((a, b) => b.startedAt >= a.startedAt ? b : a);
  if (own > 0) return undefined;
  return candidates
    .filter(({ startedAt: started, hasStepped: hasStepped }) =>
      hasStepped && now - started >= QUANTUM_MS
    )
    .sort((a, b) => a.startedAt - b.startedAt)[0];
}
