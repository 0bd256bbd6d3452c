/** What can be told of a stored state. */

import { bytesOf } from "../store/states/manifest.ts";
import type { StateStore } from "../store/states/state_store.ts";
import type { ReserveMemory, StateDescription } from "./session_types.ts";
import { openTranscript, readPage } from "./transcript.ts";
import type { PageRequest } from "./session_api.ts";

/**
 * Describes a state with a page of its transcript.
 *
 * @throws InferenceError as `StateStore.inspect` does, and what `take` throws
 */
export async function describeState(
  store: StateStore,
  id: string,
  { take, ...page }: PageRequest & { take?: ReserveMemory | undefined } = {},
): Promise<StateDescription> {
  const stored = await openTranscript(store, id, take);
  const { messages, total, hasMore } = await readPage(store, stored, page);
  const { info, snapshot: record } = stored;
  return {
    id: info.id,
    model: info.model,
    created: info.created,
    expires: info.expires,
    bytes: bytesOf(info),
    open: info.open,
    tokens: record.processedTokens,
    pendingTokens: record.pending.length,
    messageCount: total,
    hasMore,
    transcript: messages.map(({ role, content }) => ({ role, content })),
  };
}
