/** Keys of the store's rows. */

import type { Key } from "./backends/backend.ts";

/** First part of keys that belong to no tenant. It is not a valid tenant name. */
export const NO_TENANT = "~";

/** Prefix of all manifests. */
export function statesKey(tenant: string): Key {
  return [tenant, "state"];
}

export function stateKey(tenant: string, id: string): Key {
  return [...statesKey(tenant), id];
}

/** Prefix of all conversations. */
export function conversationsKey(tenant: string): Key {
  return [tenant, "conversation"];
}

/** Prefix of all idempotency records, by the hash of route and key. */
export function idempotencyKey(tenant: string): Key {
  return [tenant, "idempotency"];
}

/** Prefix of the links from states to the idempotency records that name them. */
export function idempotencyOfStateKey(tenant: string): Key {
  return [tenant, "answer-of"];
}

/** Prefix of all references to blobs, ordered by blob. */
export function refsKey(tenant: string): Key {
  return [tenant, "ref"];
}

/** @param state Id of the state that references the blob. */
export function refKey(tenant: string, { blob, state }: { blob: string; state: string }): Key {
  return [...refsKey(tenant), blob, state];
}

/** Prefix of all chunks, ordered by blob and position. */
export function blobsKey(tenant: string): Key {
  return [tenant, "blob"];
}

/** Prefix of all API keys, by hash. */
export const API_KEYS: Key = [NO_TENANT, "key"];

/** Prefix of the hashes of API keys, by key id. */
export const API_KEY_IDS: Key = [NO_TENANT, "key-id"];

/** The encryption status of the store. */
export const ENCRYPTION: Key = [NO_TENANT, "encryption"];

/** Prefix of the published rates, by tenant and worker. */
export const RATES: Key = [NO_TENANT, "rate"];

/** Prefix of the rows that list all tenants. */
export const TENANTS: Key = [NO_TENANT, "tenant"];
