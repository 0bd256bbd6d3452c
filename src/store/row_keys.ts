/** Where the store's rows lie. */

import type { Key } from "./backends/backend.ts";

/** Rows that are no tenant's lie under this, which no tenant can be called. */
export const NO_TENANT = "~";

/** Every state's manifest lies under this. */
export function statesKey(tenant: string): Key {
  return [tenant, "state"];
}

export function stateKey(tenant: string, id: string): Key {
  return [...statesKey(tenant), id];
}

/** Every conversation lies under this. */
export function conversationsKey(tenant: string): Key {
  return [tenant, "conversation"];
}

/** Every key that was sent to be answered once lies under this, by its hash. */
export function idempotencyKey(tenant: string): Key {
  return [tenant, "idempotency"];
}

/** Every state that a kept answer names lies under this, with the hash of the answer's key. */
export function idempotencyOfStateKey(tenant: string): Key {
  return [tenant, "answer-of"];
}

/** Every ref lies under this, those of one blob together. */
export function refsKey(tenant: string): Key {
  return [tenant, "ref"];
}

/** @param state Id of the state that uses the blob. */
export function refKey(tenant: string, { blob, state }: { blob: string; state: string }): Key {
  return [...refsKey(tenant), blob, state];
}

/** Every chunk lies under this, those of one blob together and in order. */
export function blobsKey(tenant: string): Key {
  return [tenant, "blob"];
}

/** Every API key lies under this, by its hash. */
export const API_KEYS: Key = [NO_TENANT, "key"];

/** The hash of every API key lies under this, by the key's id. */
export const API_KEY_IDS: Key = [NO_TENANT, "key-id"];

/** Whether the store is encrypted. */
export const ENCRYPTION: Key = [NO_TENANT, "encryption"];

/** What workers tell each other of tenants' rates lies under this, by tenant and worker. */
export const RATES: Key = [NO_TENANT, "rate"];

/** Every tenant that has or had something here has a row under this. */
export const TENANTS: Key = [NO_TENANT, "tenant"];
