/**
 * The list of a store's tenants: `["~", "tenant", name]`, written when a tenant gets a key or sends
 * its first request. Garbage collection needs the list, because databases cannot list the first
 * parts of keys.
 */

import { InferenceError } from "../core/errors.ts";
import { DEFAULT_TENANT, isTenantName, TENANT_NAME_RULE } from "../core/tenant.ts";
import type { Backend, Mutation } from "./backends/backend.ts";
import { TENANTS } from "./row_keys.ts";

/** @throws InferenceError `invalid_value` for an invalid tenant name */
export function assertTenant(tenant: string): void {
  if (isTenantName(tenant)) return;
  throw new InferenceError(
    "invalid_value",
    `Cannot use tenant ${JSON.stringify(tenant.slice(0, 80))}: a name has ${TENANT_NAME_RULE}`,
    { param: "tenant" },
  );
}

/** Returns the write that adds a tenant to the list. Repeating it changes nothing. */
export function tenantRow(tenant: string): Mutation {
  return { type: "set", key: [...TENANTS, tenant], value: new Uint8Array() };
}

/** Adds a tenant to the list. Throws InferenceError `store_unavailable`. */
export async function recordTenant(backend: Backend, tenant: string): Promise<void> {
  if (tenant === DEFAULT_TENANT) return;
  if (await backend.get([...TENANTS, tenant]) === null) {
    await backend.atomic([], [tenantRow(tenant)]);
  }
}

/** Returns all tenants of a store, including the default tenant. Throws the errors of
 * `recordTenant`. */
export async function listTenants(backend: Backend): Promise<string[]> {
  const tenants = new Set([DEFAULT_TENANT]);
  for await (const { key } of backend.list(TENANTS)) tenants.add(String(key[key.length - 1]));
  return [...tenants].sort();
}
