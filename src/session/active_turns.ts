/**
 * Turns under way in this process, of all tenants: each can be found by the state that it leads to,
 * and all of them can be waited for or cut short when the process is to end.
 */

/** A turn, as far as others have to do with it. */
export interface TrackedTurn {
  /** The state that it leads to. */
  readonly stateId: string;
  /** Resolves when it has ended, however that was. */
  readonly done: Promise<void>;
  /** Aborted when it was cut short. */
  readonly signal: AbortSignal;
  /** Ends it as far as it went. */
  cancel(why: "interrupted"): void;
}

/** Turns, and what goes on beside them. */
export class ActiveTurns {
  readonly #turns = new Map<string, TrackedTurn>();
  readonly #chores = new Set<Promise<void>>();

  /** Holds a turn of a tenant until it has ended. */
  add(tenant: string, turn: TrackedTurn): void {
    const name = nameOf(tenant, turn.stateId);
    this.#turns.set(name, turn);
    turn.done.then(() => this.#turns.delete(name));
  }

  /** Waits for the turn that leads to a tenant's state, if it has been cut and is being stored. */
  async waitIfCancelled(tenant: string, stateId: string): Promise<void> {
    const turn = this.#turns.get(nameOf(tenant, stateId));
    if (turn?.signal.aborted) await turn.done;
  }

  /** Holds work that nobody waits for now; what fails of it is its own to tell. */
  runInBackground(work: Promise<unknown>): void {
    const chore = work.then(() => {}, () => {}).finally(() => this.#chores.delete(chore));
    this.#chores.add(chore);
  }

  /** Resolves when every turn has ended and is stored, and all work beside is done. */
  async settled(): Promise<void> {
    await Promise.all([...this.#turns.values()].map(({ done }) => done));
    await Promise.all(this.#chores);
  }

  /** Ends every turn: each is stored as far as it went, and its client told so. */
  interrupt(): void {
    for (const turn of this.#turns.values()) turn.cancel("interrupted");
  }
}

/** No tenant's name has a slash. */
function nameOf(tenant: string, stateId: string): string {
  return `${tenant}/${stateId}`;
}
