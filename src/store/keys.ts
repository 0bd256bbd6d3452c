/** Where the store's rows lie. */

import type { Key } from "./backend.ts";

/** Whose states they are where nobody says. */
export const DEFAULT_TENANT = "default";

/** Every state's manifest lies under this. */
export function statesKey(tenant: string): Key {
  return [tenant, "state"];
}

export function stateKey(tenant: string, id: string): Key {
  return [...statesKey(tenant), id];
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
