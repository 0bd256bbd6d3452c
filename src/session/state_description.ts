/** What can be told of a stored state. */

import { blobsOf } from "../store/manifest.ts";
import type { InspectedState } from "../store/state_store.ts";
import { decodeEntries } from "./history.ts";
import type { StateDescription } from "./session_types.ts";
import { decodeRecord } from "./turn_record.ts";

/** @throws InferenceError `state_damaged` for a turn of another version. */
export function describeState(
  { info, turn }: InspectedState,
  history: Uint8Array | null,
): StateDescription {
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
