/**
 * A client for the workers' API, without dependencies: it needs only `fetch`. Its types in
 * `api_types.ts` are generated from the schemas with which workers validate requests.
 */

import { ChatStream, type Reply } from "./chat_stream.ts";
import { ChatSession, type ChatSessionOptions } from "./chat_session.ts";
import { type ClientOptions, Transport } from "./transport.ts";
import type {
  CallOptions,
  ChatCompletion,
  ChatParams,
  ConversationChange,
  ConversationObject,
  ModelObject,
  NewConversation,
  PageParams,
  StateObject,
  StreamParams,
  TextCompletion,
  TextParams,
  WorkerHealth,
} from "./types.ts";

/** A client of one worker. All methods throw ApiError if the worker returns an error. */
export interface Client {
  /** Creates a chat completion, with `n` choices. */
  complete(params: ChatParams, options?: CallOptions): Promise<ChatCompletion>;
  /** Creates a chat completion and returns only its reply. */
  chat(params: StreamParams, options?: CallOptions): Promise<Reply>;
  /** Creates a chat completion and streams its reply. */
  stream(params: StreamParams, options?: CallOptions): Promise<ChatStream>;
  /** Continues a text without a chat template. */
  completeText(params: TextParams, options?: CallOptions): Promise<TextCompletion>;
  /** Creates a chat session, which tracks the id of its current state. */
  conversation(options?: ChatSessionOptions): ChatSession;
  /** Stored states. */
  states: {
    /** Returns a state's metadata and a page of its transcript. */
    get(id: string, options?: CallOptions & PageParams): Promise<StateObject>;
    /** Returns all messages of a state's transcript. */
    transcript(id: string, options?: CallOptions): Promise<StateObject["transcript"]>;
    /** Deletes a state. */
    delete(id: string, options?: CallOptions): Promise<void>;
    /** Exports a state as a file. */
    export(id: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
    /** Imports a file as a new state with a new id. */
    import(file: Uint8Array<ArrayBuffer> | Blob, options?: CallOptions): Promise<StateObject>;
  };
  /** Named conversations of the worker, each with its current state. */
  conversations: {
    create(begin?: NewConversation, options?: CallOptions): Promise<ConversationObject>;
    get(id: string, options?: CallOptions): Promise<ConversationObject>;
    update(
      id: string,
      change: ConversationChange,
      options?: CallOptions,
    ): Promise<ConversationObject>;
    delete(id: string, options?: CallOptions): Promise<void>;
  };
  /** The worker's models. */
  models: {
    list(options?: CallOptions): Promise<ModelObject[]>;
    get(id: string, options?: CallOptions): Promise<ModelObject>;
  };
  /** Returns the worker's health, also if the worker has failed. */
  health(options?: CallOptions): Promise<WorkerHealth>;
}

/** Creates a client of the worker at `baseURL`. Sends no request until its first call. */
export function createClient(clientOptions: ClientOptions): Client {
  const transport = new Transport(clientOptions);
  const pathOf = (resource: string, id: string) => `/v1/${resource}/${encodeURIComponent(id)}`;
  const remove = async (path: string, options?: CallOptions) => {
    await transport.json(path, { ...options, method: "DELETE" });
  };
  const client: Client = {
    complete: (json, options) =>
      transport.json("/v1/chat/completions", { ...options, json: { ...json, stream: false } }),
    chat: async (params, options) => replyOf(await client.complete(params, options)),
    stream: async (params, options) => {
      const json = { ...params, stream: true, stream_options: { include_usage: true } };
      return new ChatStream(await transport.send("/v1/chat/completions", { ...options, json }));
    },
    completeText: (json, options) =>
      transport.json("/v1/completions", { ...options, json: { ...json, stream: false } }),
    conversation: (options) => new ChatSession(client, options),
    states: {
      get: (id, { after, limit, ...options } = {}) => {
        const query = new URLSearchParams();
        if (after !== undefined) query.set("after", String(after));
        if (limit !== undefined) query.set("limit", String(limit));
        return transport.json(`${pathOf("states", id)}?${query}`, options);
      },
      transcript: async (id, options) => {
        const messages: StateObject["transcript"][number][] = [];
        for (let hasMore = true; hasMore;) {
          const after = messages.length;
          const { transcript, has_more } = await client.states.get(id, { ...options, after });
          messages.push(...transcript);
          hasMore = has_more;
        }
        return messages;
      },
      delete: (id, options) => remove(pathOf("states", id), options),
      export: async (id, options) => {
        const response = await transport.send(`${pathOf("states", id)}/content`, options);
        return new Uint8Array(await response.arrayBuffer());
      },
      import: (bytes, options) => transport.json("/v1/states", { ...options, bytes }),
    },
    conversations: {
      create: (json = {}, options) => transport.json("/v1/conversations", { ...options, json }),
      get: (id, options) => transport.json(pathOf("conversations", id), options),
      update: (id, json, options) =>
        transport.json(pathOf("conversations", id), { ...options, json }),
      delete: (id, options) => remove(pathOf("conversations", id), options),
    },
    models: {
      list: async (options) => {
        const { data } = await transport.json<{ data: ModelObject[] }>("/v1/models", options);
        return data;
      },
      get: (id, options) => transport.json(pathOf("models", id), options),
    },
    health: (options) => transport.json("/health", { ...options, alsoAccept: 503 }),
  };
  return client;
}

function replyOf({ choices: [choice], usage }: ChatCompletion): Reply {
  return {
    text: choice.message.content,
    stateId: choice.state_id ?? null,
    finishReason: choice.finish_reason,
    usage,
    warning: choice.warning,
  };
}
