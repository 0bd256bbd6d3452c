/** A chat backend over the API client of a remote worker. */

import { ApiError } from "../../client/api_error.ts";
import { createClient } from "../../client/client.ts";
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
  type SamplingParameterName,
} from "../../core/sampling_parameters.ts";
import type { ChatBackend, ChatTurn, ReplyResult } from "./backend.ts";
import { deviceLabel } from "../output/worker_text.ts";

/** @throws ApiError if the worker cannot be reached or has failed. */
export async function createRemoteBackend(
  url: string,
  apiKey: string | undefined,
): Promise<ChatBackend> {
  const client = createClient({ baseURL: url, apiKey, fetch: fetchWithRemedy(url) });
  return {
    description: await describeWorker(url, client),
    resumeFlags: [["url", url]],
    startTurn: async ({ messages, stateId, sampling, seed, maxTokens }, signal) => {
      const stream = await client.stream({
        messages: messages.map(({ role, content }) => ({ role, content: content as string })),
        state_id: stateId,
        ...samplingFields(sampling),
        seed: seed === undefined ? undefined : Number(seed),
        max_tokens: maxTokens,
      }, { signal });
      let result: ReplyResult | undefined;
      return {
        get stateId() {
          return stream.stateId;
        },
        get result() {
          return result;
        },
        async *[Symbol.asyncIterator]() {
          try {
            yield* stream;
            result = await stream.reply();
          } catch (error) {
            if (signal.aborted) {
              result = { stateId: stream.stateId, finishReason: "length", usage: null };
            } else throw error instanceof ApiError ? error : readError(url, error);
          }
        },
      };
    },
    recentMessages: async (id, limit) => {
      const { message_count: total } = await client.states.get(id, { limit: 1 });
      const after = Math.max(0, total - limit);
      const { transcript } = await client.states.get(id, { after, limit });
      return { messages: transcript, total };
    },
    exportState: async (id) => [await client.states.export(id)],
    importState: async (file) => (await client.states.import(file)).id,
    close: () => Promise.resolve(),
  };
}

/** Returns the sampling parameters that have a flag, by their names in the API. */
function samplingFields(
  sampling: ChatTurn["sampling"],
): Partial<Record<SamplingParameterName, number>> {
  return Object.fromEntries(
    SAMPLING_PARAMETER_NAMES.flatMap((name) => {
      const { key, flag }: SamplingParameter = SAMPLING_PARAMETERS[name];
      return flag ? [[name, sampling[key]]] : [];
    }),
  );
}

async function describeWorker(
  url: string,
  client: ReturnType<typeof createClient>,
): Promise<string> {
  try {
    const { status, model, device, adapter, software } = await client.health();
    if (status === "failed") {
      throw new ApiError(`Cannot chat with ${url}: its model could not be loaded; see its log`, {
        status: 503,
        code: "not_ready",
      });
    }
    if (model === null || device === null) return `the worker at ${url}, which is still starting`;
    return `${model} at ${url}, on ${deviceLabel({ device, adapter, software: !!software })}`;
  } catch (error) {
    // A reverse proxy may forward only `/v1`.
    if (error instanceof ApiError && [401, 403, 404].includes(error.status)) {
      return `the worker at ${url}`;
    }
    throw error;
  }
}

/** Returns `fetch` with connection errors that suggest a remedy. */
function fetchWithRemedy(url: string): typeof fetch {
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (error) {
      if (init?.signal?.aborted || error instanceof Deno.errors.NotCapable) throw error;
      throw new ApiError(
        `Cannot reach ${url}: ${innermostMessage(error)}; check that a worker is running there`,
        {
          status: 0,
          code: "unreachable",
        },
      );
    }
  };
}

function readError(url: string, error: unknown): ApiError {
  return new ApiError(
    `Cannot read the reply from ${url}: ${innermostMessage(error)}; /more continues it`,
    {
      status: 0,
      code: "broken_off",
    },
  );
}

/** Returns the innermost cause of an error in one line. */
function innermostMessage(error: unknown): string {
  let { message, cause } = error as Error;
  // The innermost cause says what failed. The outer ones say where.
  while (cause instanceof Error) ({ message, cause } = cause);
  return message.match(/([^:]+) \(os error \d+\)/)?.[1].trim().toLowerCase() ?? message;
}
