/** What can be told of a stored state. */

import { blobsOf } from "../store/manifest.ts";
import type { StateStore } from "../store/state_store.ts";
import { decodeEntries } from "./history.ts";
import type { StateDescription } from "./session_types.ts";
import { decodeRecord } from "./turn_record.ts";

/** @throws InferenceError as `StateStore.inspect` does */
export async function describeState(store: StateStore, id: string): Promise<StateDescription> {
  const { info, turn } = await store.inspect(id);
  const history = await store.readHistory(info);
  const record = decodeRecord(turn);
  return {
    id: info.id,
    model: info.model,
    created: info.created,
    expires: info.expires,
    bytes: blobsOf(info).reduce((sum, { bytes }) => sum + bytes, 0),
    open: info.open,
    tokens: record.absorbed,
    pendingTokens: record.pending.length,
    transcript: [...decodeEntries(history), ...record.transcript],
  };
}
