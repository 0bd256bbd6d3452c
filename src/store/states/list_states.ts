/** All states that a backend holds, by their manifests alone. */

import { DEFAULT_TENANT } from "../../core/tenant.ts";
import type { Backend, Entry } from "../backends/backend.ts";
import { statesKey } from "../row_keys.ts";
import { decodeManifest, type Manifest } from "./manifest.ts";

export interface ListedState {
  id: string;
  /** `null` where the manifest is damaged, or of a version that this worker does not read. */
  manifest: Manifest | null;
  /** The row as it stands. */
  entry: Entry;
}

/**
 * Lists states in the order of their ids, which is none; expired ones too, as long as they are there.
 *
 * @throws InferenceError `store_unavailable`
 */
export async function* listStates(
  backend: Backend,
  { tenant = DEFAULT_TENANT }: { tenant?: string | undefined } = {},
): AsyncGenerator<ListedState> {
  for await (const entry of backend.list(statesKey(tenant))) {
    const id = String(entry.key[entry.key.length - 1]);
    yield { id, manifest: readable(entry, id), entry };
  }
}

/** The manifest in a row, or `null` if it cannot be read. */
export function readable({ value }: Entry, id: string): Manifest | null {
  try {
    return decodeManifest(value, id);
  } catch {
    return null;
  }
}
