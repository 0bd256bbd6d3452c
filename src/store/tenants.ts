/**
 * Which tenants a store has: `["~", "tenant", name]`, written when a tenant gets a key there or is
 * served first. Databases cannot list the first parts of their keys, and who collects garbage has to
 * know them all.
 */

import { InferenceError } from "../core/errors.ts";
import { DEFAULT_TENANT, isTenantName, TENANT_NAME_RULE } from "../core/tenant.ts";
import type { Backend, Mutation } from "./backends/backend.ts";
import { TENANTS } from "./row_keys.ts";

/** @throws InferenceError `invalid_value` for what is no tenant's name */
export function assertTenant(tenant: string): void {
  if (isTenantName(tenant)) return;
  throw new InferenceError(
    "invalid_value",
    `Cannot use tenant ${JSON.stringify(tenant.slice(0, 80))}: a name has ${TENANT_NAME_RULE}`,
    { param: "tenant" },
  );
}

/** What makes a tenant known; written again it changes nothing. */
export function tenantRow(tenant: string): Mutation {
  return { type: "set", key: [...TENANTS, tenant], value: new Uint8Array() };
}

/** Makes a tenant known, if it is not yet. Throws InferenceError `store_unavailable`. */
export async function recordTenant(backend: Backend, tenant: string): Promise<void> {
  if (tenant === DEFAULT_TENANT) return;
  if (await backend.get([...TENANTS, tenant]) === null) {
    await backend.atomic([], [tenantRow(tenant)]);
  }
}

/** All tenants of a store; the default one is always among them. Throws as `noteTenant`. */
export async function listTenants(backend: Backend): Promise<string[]> {
  const tenants = new Set([DEFAULT_TENANT]);
  for await (const { key } of backend.list(TENANTS)) tenants.add(String(key[key.length - 1]));
  return [...tenants].sort();
}
