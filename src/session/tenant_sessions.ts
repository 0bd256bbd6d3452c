/**
 * Sessions by tenant: each tenant has its own, over states of its own, and all share one model and
 * one scheduler. Those that were used last are held; nothing is lost when others go, since turns
 * under way are held apart from them.
 */

import type { SessionsByTenant } from "./session_api.ts";
import type { Sessions } from "./sessions.ts";
import { ActiveTurns } from "./turn_handle.ts";

/** How tenants' sessions are had. */
export interface TenantSessionsOptions {
  /** Makes a tenant's sessions, whose turns go to `underway`. */
  open: (tenant: string, underway: ActiveTurns) => Sessions;
  /** Tenants whose sessions are held at once. */
  maxTenants?: number | undefined;
}

/** The sessions of all tenants of a worker. */
export class TenantSessions implements SessionsByTenant {
  readonly #open: TenantSessionsOptions["open"];
  readonly #most: number;
  readonly #underway = new ActiveTurns();
  /** In order of use. */
  readonly #held = new Map<string, Sessions>();

  /** Sessions that are made as tenants come. */
  constructor({ open, maxTenants: most = 1_000 }: TenantSessionsOptions) {
    this.#open = open;
    this.#most = most;
  }

  /** Tenants whose sessions are held. */
  get size(): number {
    return this.#held.size;
  }

  /** The sessions of a tenant. */
  forTenant(tenant: string): Sessions {
    const sessions = this.#held.get(tenant) ?? this.#open(tenant, this.#underway);
    this.#held.delete(tenant);
    this.#held.set(tenant, sessions);
    if (this.#held.size > this.#most) this.#held.delete(this.#held.keys().next().value!);
    return sessions;
  }

  /** Resolves when every tenant's turns under way have ended and are stored. */
  async settled(): Promise<void> {
    await this.#underway.settled();
    await Promise.all([...this.#held.values()].map((sessions) => sessions.settled()));
  }

  /** Ends every tenant's turns under way: each is stored as far as it went. */
  interrupt(): void {
    this.#underway.interrupt();
  }
}
