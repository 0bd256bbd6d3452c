/**
 * A client for the workers' API, without dependencies: it runs wherever there is `fetch`. Its types
 * are written out of the schemas that workers check by (`api_types.ts`).
 */

import { ChatStream, type Reply } from "./chat_stream.ts";
import { ChatSession, type ChatSessionOptions } from "./talk.ts";
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

/** Everything throws ApiError where the worker tells of an error. */
export interface Client {
  /** One turn, as the API answers it: with several choices where `n` asks for them. */
  complete(params: ChatParams, options?: CallOptions): Promise<ChatCompletion>;
  /** One turn, its reply alone. */
  chat(params: StreamParams, options?: CallOptions): Promise<Reply>;
  /** One turn, its reply as it is written. */
  stream(params: StreamParams, options?: CallOptions): Promise<ChatStream>;
  /** A text written on as it stands, without any template. */
  completeText(params: TextParams, options?: CallOptions): Promise<TextCompletion>;
  /** A conversation that keeps the id of its state itself. */
  conversation(options?: ChatSessionOptions): ChatSession;
  /** Stored states, by their ids. */
  states: {
    /** What is known of one, with a page of its transcript. */
    get(id: string, options?: CallOptions & PageParams): Promise<StateObject>;
    /** All messages of the conversation that led to one. */
    transcript(id: string, options?: CallOptions): Promise<StateObject["transcript"]>;
    /** Removes one for good. */
    delete(id: string, options?: CallOptions): Promise<void>;
    /** The whole state as a file. */
    export(id: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
    /** A file made a state, under an id of its own. */
    import(file: Uint8Array<ArrayBuffer> | Blob, options?: CallOptions): Promise<StateObject>;
  };
  /** Names on the worker's side that move from state to state. */
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
  /** What runs on the worker. */
  models: {
    list(options?: CallOptions): Promise<ModelObject[]>;
    get(id: string, options?: CallOptions): Promise<ModelObject>;
  };
  /** How the worker is, a failed one included. */
  health(options?: CallOptions): Promise<WorkerHealth>;
}

/** A client of the worker at `baseURL`. Nothing is sent before its first call. */
export function createClient(clientOptions: ClientOptions): Client {
  const transport = new Transport(clientOptions);
  const at = (resource: string, id: string) => `/v1/${resource}/${encodeURIComponent(id)}`;
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
        return transport.json(`${at("states", id)}?${query}`, options);
      },
      transcript: async (id, options) => {
        const messages: StateObject["transcript"][number][] = [];
        for (let more = true; more;) {
          const after = messages.length;
          const { transcript, has_more } = await client.states.get(id, { ...options, after });
          messages.push(...transcript);
          more = has_more;
        }
        return messages;
      },
      delete: (id, options) => remove(at("states", id), options),
      export: async (id, options) => {
        const response = await transport.send(`${at("states", id)}/content`, options);
        return new Uint8Array(await response.arrayBuffer());
      },
      import: (bytes, options) => transport.json("/v1/states", { ...options, bytes }),
    },
    conversations: {
      create: (json = {}, options) => transport.json("/v1/conversations", { ...options, json }),
      get: (id, options) => transport.json(at("conversations", id), options),
      update: (id, json, options) => transport.json(at("conversations", id), { ...options, json }),
      delete: (id, options) => remove(at("conversations", id), options),
    },
    models: {
      list: async (options) => {
        const { data } = await transport.json<{ data: ModelObject[] }>("/v1/models", options);
        return data;
      },
      get: (id, options) => transport.json(at("models", id), options),
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
