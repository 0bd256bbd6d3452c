/** Lists the newest states of a store from their manifests. */

import type { Backend } from "../../store/backends/backend.ts";
import { listStates } from "../../store/states/list_states.ts";
import { blobsOf } from "../../store/states/manifest.ts";

export interface ListedState {
  id: string;
  model: string;
  /** Epoch milliseconds. */
  created: number;
  expires: number;
  open: boolean;
  /** Number of tokens in the state, or `null` if the manifest does not have it. */
  tokens: number | null;
  bytes: number;
}

/**
 * Returns the newest `limit` states and the total number. Memory use depends on `limit` only.
 *
 * @throws InferenceError `store_unavailable`
 */
export async function listNewestStates(
  backend: Backend,
  { limit, tenant }: { limit: number; tenant?: string | undefined },
): Promise<{ states: ListedState[]; total: number }> {
  let states: ListedState[] = [];
  let total = 0;
  const trim = () => states = states.sort((a, b) => b.created - a.created).slice(0, limit);
  for await (const { id, manifest } of listStates(backend, { tenant })) {
    if (manifest === null) continue;
    total++;
    const { model, created, expires, open, tokens = null } = manifest;
    const bytes = blobsOf(manifest).reduce((sum, blob) => sum + blob.bytes, 0);
    states.push({ id, model: model.id, created, expires, open, tokens, bytes });
    if (states.length >= 2 * limit + 1000) trim();
  }
  return { states: trim(), total };
}
