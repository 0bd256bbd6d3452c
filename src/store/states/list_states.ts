/** Lists all states of a tenant by their manifests. */

import { DEFAULT_TENANT } from "../../core/tenant.ts";
import type { Backend, Entry } from "../backends/backend.ts";
import { statesKey } from "../row_keys.ts";
import { decodeManifest, type Manifest } from "./manifest.ts";

export interface ListedState {
  id: string;
  /** `null` if the manifest is damaged or of an unknown version. */
  manifest: Manifest | null;
  /** The row. */
  entry: Entry;
}

/**
 * Lists states in the order of their random ids, including expired ones that still exist.
 *
 * @throws InferenceError `store_unavailable`
 */
export async function* listStates(
  backend: Backend,
  { tenant = DEFAULT_TENANT }: { tenant?: string | undefined } = {},
): AsyncGenerator<ListedState> {
  for await (const entry of backend.list(statesKey(tenant))) {
    const id = String(entry.key[entry.key.length - 1]);
    yield { id, manifest: readManifest(entry, id), entry };
  }
}

/** Returns the manifest in a row, or `null` if it cannot be read. */
export function readManifest({ value }: Entry, id: string): Manifest | null {
  try {
    return decodeManifest(value, id);
  } catch {
    return null;
  }
}
