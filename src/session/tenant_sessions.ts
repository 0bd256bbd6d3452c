/**
 * The sessions of all tenants. Each tenant has its own sessions and states; all share one model and
 * one scheduler. The recently used sessions stay in memory. Evicting others is safe, because
 * running turns are registered separately.
 */

import type { SessionsByTenant } from "./session_api.ts";
import type { Sessions } from "./sessions.ts";
import { ActiveTurns } from "./turn_handle.ts";

/** Options of tenant sessions. */
export interface TenantSessionsOptions {
  /** Creates the sessions of a tenant, whose turns are registered in `activeTurns`. */
  open: (tenant: string, activeTurns: ActiveTurns) => Sessions;
  /** Maximum number of tenants in memory. */
  maxTenants?: number | undefined;
}

/** The sessions of all tenants of a worker. */
export class TenantSessions implements SessionsByTenant {
  readonly #open: TenantSessionsOptions["open"];
  readonly #maxTenants: number;
  readonly #activeTurns = new ActiveTurns();
  /** In order of use. */
  readonly #sessions = new Map<string, Sessions>();

  /** Creates a registry that opens sessions on demand. */
  constructor({ open, maxTenants = 1_000 }: TenantSessionsOptions) {
    this.#open = open;
    this.#maxTenants = maxTenants;
  }

  /** Number of tenants in memory. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Returns the sessions of a tenant. */
  forTenant(tenant: string): Sessions {
    const sessions = this.#sessions.get(tenant) ?? this.#open(tenant, this.#activeTurns);
    this.#sessions.delete(tenant);
    this.#sessions.set(tenant, sessions);
    if (this.#sessions.size > this.#maxTenants) {
      this.#sessions.delete(this.#sessions.keys().next().value!);
    }
    return sessions;
  }

  /** Resolves when the running turns of all tenants have ended and are stored. */
  async settled(): Promise<void> {
    await this.#activeTurns.settled();
    await Promise.all([...this.#sessions.values()].map((sessions) => sessions.settled()));
  }

  /** Ends the running turns of all tenants. Each is stored as far as it was generated. */
  interrupt(): void {
    this.#activeTurns.interrupt();
  }
}
