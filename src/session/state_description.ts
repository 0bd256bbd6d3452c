/** What can be told of a stored state. */

import { bytesOf, textBytesOf } from "../store/manifest.ts";
import type { StateStore } from "../store/state_store.ts";
import { decodeEntries } from "./history.ts";
import type { StateDescription, TakeBytes } from "./session_types.ts";
import { decodeRecord } from "./turn_record.ts";

/**
 * @throws InferenceError as `StateStore.inspect` does, and what `take` throws
 */
export async function describeState(
  store: StateStore,
  id: string,
  take?: TakeBytes,
): Promise<StateDescription> {
  const { info, turn } = await store.inspect(id);
  take?.(textBytesOf(info));
  const history = await store.readHistory(info);
  const record = decodeRecord(turn);
  return {
    id: info.id,
    model: info.model,
    created: info.created,
    expires: info.expires,
    bytes: bytesOf(info),
    open: info.open,
    tokens: record.absorbed,
    pendingTokens: record.pending.length,
    transcript: [...decodeEntries(history), ...record.transcript],
  };
}
