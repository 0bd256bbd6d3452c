/**
 * The API's objects, as workers check and document them. Written by `deno task client:types`; what
 * it says stands in the schemas of `routes`.
 */

/** A turn to take: what is said, where it goes on from, how it is answered. */
export interface ChatCompletionRequest {
  /**
   * The model's id from `/v1/models`, or `default`; any other name returns 404
   * `model_not_found`. Default, also for an empty string: the running model.
   */
  model?: string | null | undefined;
  /** The state to resume. The request then contains only new messages. */
  state_id?: string | null | undefined;
  /**
   * A conversation id, or an object with one. The turn resumes the conversation's current
   * state and advances it. Mutually exclusive with `state_id`.
   */
  conversation?:
    | string
    | {
      /** Id of a conversation. */
      id: string;
    }
    | null
    | undefined;
  /**
   * Handling of a state of another model: `error` rejects it, `reread` reprocesses its
   * transcript. Default: `error`.
   */
  on_mismatch?: "error" | "reread" | null | undefined;
  /** Lifetime of the new state after its last use, in seconds. Default: the worker's setting. */
  state_ttl?: number | null | undefined;
  /**
   * `false`: nothing is stored: neither the state nor the text nor, under an
   * `Idempotency-Key`, the response; `state_id` is null. Not allowed in a conversation.
   * Default: `true`.
   */
  store?: boolean | null | undefined;
  /** Whether to stream the reply as server-sent events, terminated by `[DONE]`. */
  stream?: boolean | null | undefined;
  /** Options for streaming. */
  stream_options?:
    | {
      /** Whether to send a chunk with the usage before `[DONE]`. */
      include_usage?: boolean | null | undefined;
    }
    | null
    | undefined;
  /** Maximum number of tokens to generate. Default, also for -1: 512. */
  max_tokens?: number | null | undefined;
  /**
   * Whether to continue after the end-of-text token and after empty lines, up to `max_tokens`
   * or a stop string. Not supported with structured output. Default: `false`.
   */
  ignore_eos?: boolean | null | undefined;
  /**
   * Minimum number of tokens to generate. Values above 0 require `ignore_eos`, no `stop`, and
   * `max_tokens` of at least this value. Default: 0.
   */
  min_tokens?: number | null | undefined;
  /**
   * Number of choices, each with its own `state_id`. The prompt is processed once. The first
   * choice equals that of `n` 1; the others use the consecutive seeds.
   */
  n?: number | null | undefined;
  /**
   * A string, or up to 256 strings of 2,048 bytes in total. The reply ends before the first
   * match. Empty strings are ignored. An empty line always ends a chat reply. The state
   * includes the stop string, so a turn that resumes it continues after the string.
   */
  stop?: string | string[] | null | undefined;
  /** Sampling temperature. 0 always takes the most probable token. Default: 1. */
  temperature?: number | null | undefined;
  /**
   * Nucleus sampling: keeps the most probable tokens whose probabilities add up to this
   * value. Default: 1.
   */
  top_p?: number | null | undefined;
  /** Keeps this many of the most probable tokens. 0 and -1 keep all of them. Default: 0. */
  top_k?: number | null | undefined;
  /** Keeps tokens whose probability is at least this fraction of the highest one. Default: 0. */
  min_p?: number | null | undefined;
  /**
   * Divides the positive logits, and multiplies the negative logits, of tokens sampled
   * earlier in the conversation. From 0.1; 1 and 0 disable it. Default: 1.
   */
  repetition_penalty?: number | null | undefined;
  /**
   * Subtracted once from the logits of tokens sampled earlier in the whole conversation.
   * Default: 0.
   */
  presence_penalty?: number | null | undefined;
  /**
   * Subtracted from a token's logit for each time it was sampled in the whole conversation.
   * Default: 0.
   */
  frequency_penalty?: number | null | undefined;
  /** Factor on the counts of the penalties after each token. Default: 1. */
  penalty_decay?: number | null | undefined;
  /** Values from -100 to 100 added to logits, by token id; at most 4096 entries. */
  logit_bias?: Record<string, number> | null | undefined;
  /**
   * From -2^63 to 2^64-1. The same seed gives the same text on any worker and after any
   * resume. Beyond 2^53, different integers may parse to the same JSON number. Default: a
   * random seed, or the seed of the continued turn.
   */
  seed?: number | null | undefined;
  /**
   * The messages: the whole conversation, or only new messages if the request resumes a state
   * or conversation. Empty to continue an unfinished reply. If the last message is an
   * assistant message, the reply continues it unless `continue_final_message` is `false`.
   */
  messages?: Message[] | null | undefined;
  /**
   * Whether the reply continues the last message if that is an assistant message. The
   * response contains only the continuation. Not supported with structured output. Default:
   * `true`.
   */
  continue_final_message?: boolean | null | undefined;
  /**
   * `true` is equivalent to `continue_final_message: false`. `false` is supported only if the
   * reply continues the last message.
   */
  add_generation_prompt?: boolean | null | undefined;
  /** Same as `max_tokens`; takes precedence over it. */
  max_completion_tokens?: number | null | undefined;
  /**
   * Whether to return the log probability of each token of the reply. Without streaming, the
   * number of choices, times the token limit, times the probabilities per token (the top ones
   * and the token's own) is at most 200,000. A stream with as many unread probabilities ends
   * with `length` and can be continued.
   */
  logprobs?: boolean | null | undefined;
  /** Number of most probable tokens to return at each position; requires `logprobs`. */
  top_logprobs?: number | null | undefined;
  /**
   * Format of the reply: any text, any JSON object, or JSON that matches a schema. A reply
   * that reaches `max_tokens` is incomplete.
   */
  response_format?:
    | {
      /** Any text. */
      type: "text";
    }
    | {
      /** Any JSON object, or JSON that matches a schema. */
      type: "json_object";
      /**
       * A JSON schema. Keywords that a grammar cannot express (`not`, `if`, `uniqueItems`, …)
       * return 400 `invalid_value` with their name and path.
       */
      schema?: object | undefined;
    }
    | {
      /** JSON that matches a schema. */
      type: "json_schema";
      /** The schema and its name. */
      json_schema: {
        /** Ignored. */
        name?: string | null | undefined;
        /** Ignored. */
        description?: string | null | undefined;
        /**
         * A JSON schema. Keywords that a grammar cannot express (`not`, `if`, `uniqueItems`, …)
         * return 400 `invalid_value` with their name and path.
         */
        schema: object;
        /** Ignored; the schema is always enforced. */
        strict?: boolean | null | undefined;
      };
    }
    | null
    | undefined;
  /** A regular expression that the whole reply must match. */
  guided_regex?: string | null | undefined;
  /** The reply must be one of these texts. */
  guided_choice?: string[] | null | undefined;
  /** An EBNF grammar. The reply must match its rule `root`. */
  guided_grammar?: string | null | undefined;
  /** A JSON schema, as an object or as text, that the reply must match. */
  guided_json?: object | string | null | undefined;
  /** A JSON schema, as an object or as text, that the reply must match. */
  json_schema?: object | string | null | undefined;
  /** An EBNF grammar. The reply must match its rule `root`. */
  grammar?: string | null | undefined;
  /** Format of the reply with vLLM's names. Exactly one of the fields may be set. */
  structured_outputs?:
    | {
      /** A JSON schema, as an object or as text, that the reply must match. */
      json?: object | string | null | undefined;
      /** A regular expression that the whole reply must match. */
      regex?: string | null | undefined;
      /** The reply must be one of these texts. */
      choice?: string[] | null | undefined;
      /** An EBNF grammar. The reply must match its rule `root`. */
      grammar?: string | null | undefined;
      /** Any JSON object. */
      json_object?: boolean | null | undefined;
    }
    | null
    | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: tools are
   * not supported.
   */
  tools?: unknown[] | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: functions
   * are not supported.
   */
  functions?: unknown[] | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: tools are
   * not supported.
   */
  tool_choice?: "none" | "auto" | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: functions
   * are not supported.
   */
  function_call?: "none" | "auto" | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: only
   * ["text"] is supported.
   */
  modalities?: "text"[] | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: audio is not
   * supported.
   */
  audio?: null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: web search
   * is not supported.
   */
  web_search_options?: null | undefined;
}

/** A turn as it ended, in one choice or several. */
export interface ChatCompletion {
  /** Id of the response, equal in all its chunks. */
  id: string;
  /** Creation time in epoch seconds. */
  created: number;
  /** The model that generated the reply. */
  model: string;
  /** Hash of the model's weights. */
  system_fingerprint: string;
  /** The object type. */
  object: "chat.completion";
  /** The choices, as many as `n`. */
  choices: ChatChoice[];
  /** Token counts. */
  usage: Usage;
  /** The state after the reply; null if it was not stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** A piece of a streamed turn. */
export interface ChatCompletionChunk {
  /** Id of the response, equal in all its chunks. */
  id: string;
  /** Creation time in epoch seconds. */
  created: number;
  /** The model that generated the reply. */
  model: string;
  /** Hash of the model's weights. */
  system_fingerprint: string;
  /** The object type. */
  object: "chat.completion.chunk";
  /** One choice; empty in the usage chunk. */
  choices: ChatChunkChoice[];
  /** Present with `stream_options.include_usage`; null except in the last chunk. */
  usage?:
    | {
      /** All tokens of the prompt, including those already processed by the resumed state. */
      prompt_tokens: number;
      /** Generated tokens of all choices. */
      completion_tokens: number;
      /** The sum of both. */
      total_tokens: number;
      /** Details of the prompt tokens. */
      prompt_tokens_details: {
        /** Tokens of the prompt that were not reprocessed. */
        cached_tokens: number;
      };
    }
    | null
    | undefined;
  /** The state after the reply; null if it was not stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** A text to be written on as it stands. */
export interface CompletionRequest {
  /**
   * The model's id from `/v1/models`, or `default`; any other name returns 404
   * `model_not_found`. Default, also for an empty string: the running model.
   */
  model?: string | null | undefined;
  /** The state to resume. The request then contains only new messages. */
  state_id?: string | null | undefined;
  /**
   * A conversation id, or an object with one. The turn resumes the conversation's current
   * state and advances it. Mutually exclusive with `state_id`.
   */
  conversation?:
    | string
    | {
      /** Id of a conversation. */
      id: string;
    }
    | null
    | undefined;
  /**
   * Handling of a state of another model: `error` rejects it, `reread` reprocesses its
   * transcript. Default: `error`.
   */
  on_mismatch?: "error" | "reread" | null | undefined;
  /** Lifetime of the new state after its last use, in seconds. Default: the worker's setting. */
  state_ttl?: number | null | undefined;
  /**
   * `false`: nothing is stored: neither the state nor the text nor, under an
   * `Idempotency-Key`, the response; `state_id` is null. Not allowed in a conversation.
   * Default: `true`.
   */
  store?: boolean | null | undefined;
  /** Whether to stream the reply as server-sent events, terminated by `[DONE]`. */
  stream?: boolean | null | undefined;
  /** Options for streaming. */
  stream_options?:
    | {
      /** Whether to send a chunk with the usage before `[DONE]`. */
      include_usage?: boolean | null | undefined;
    }
    | null
    | undefined;
  /** Maximum number of tokens to generate. Default, also for -1: 512. */
  max_tokens?: number | null | undefined;
  /**
   * Whether to continue after the end-of-text token and after empty lines, up to `max_tokens`
   * or a stop string. Not supported with structured output. Default: `false`.
   */
  ignore_eos?: boolean | null | undefined;
  /**
   * Minimum number of tokens to generate. Values above 0 require `ignore_eos`, no `stop`, and
   * `max_tokens` of at least this value. Default: 0.
   */
  min_tokens?: number | null | undefined;
  /**
   * Number of choices, each with its own `state_id`. The prompt is processed once. The first
   * choice equals that of `n` 1; the others use the consecutive seeds.
   */
  n?: number | null | undefined;
  /**
   * A string, or up to 256 strings of 2,048 bytes in total. The reply ends before the first
   * match. Empty strings are ignored. An empty line always ends a chat reply. The state
   * includes the stop string, so a turn that resumes it continues after the string.
   */
  stop?: string | string[] | null | undefined;
  /** Sampling temperature. 0 always takes the most probable token. Default: 1. */
  temperature?: number | null | undefined;
  /**
   * Nucleus sampling: keeps the most probable tokens whose probabilities add up to this
   * value. Default: 1.
   */
  top_p?: number | null | undefined;
  /** Keeps this many of the most probable tokens. 0 and -1 keep all of them. Default: 0. */
  top_k?: number | null | undefined;
  /** Keeps tokens whose probability is at least this fraction of the highest one. Default: 0. */
  min_p?: number | null | undefined;
  /**
   * Divides the positive logits, and multiplies the negative logits, of tokens sampled
   * earlier in the conversation. From 0.1; 1 and 0 disable it. Default: 1.
   */
  repetition_penalty?: number | null | undefined;
  /**
   * Subtracted once from the logits of tokens sampled earlier in the whole conversation.
   * Default: 0.
   */
  presence_penalty?: number | null | undefined;
  /**
   * Subtracted from a token's logit for each time it was sampled in the whole conversation.
   * Default: 0.
   */
  frequency_penalty?: number | null | undefined;
  /** Factor on the counts of the penalties after each token. Default: 1. */
  penalty_decay?: number | null | undefined;
  /** Values from -100 to 100 added to logits, by token id; at most 4096 entries. */
  logit_bias?: Record<string, number> | null | undefined;
  /**
   * From -2^63 to 2^64-1. The same seed gives the same text on any worker and after any
   * resume. Beyond 2^53, different integers may parse to the same JSON number. Default: a
   * random seed, or the seed of the continued turn.
   */
  seed?: number | null | undefined;
  /**
   * The text to continue, without a chat template. The completion ends at `stop`,
   * `max_tokens` or the end-of-text token. Omit it to continue an unfinished completion.
   */
  prompt?: string | [string] | null | undefined;
  /**
   * Number of most probable tokens to return at each position, with the log probability of
   * each generated token; `false` or null for none. Without streaming, the number of choices,
   * times the token limit, times the probabilities per token (the top ones and the token's
   * own) is at most 200,000. A stream with as many unread probabilities ends with `length`
   * and can be continued.
   */
  logprobs?: number | false | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: echoing the
   * prompt is not supported.
   */
  echo?: false | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: infilling is
   * not supported.
   */
  suffix?: "" | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: structured
   * output is supported only in chat completions.
   */
  response_format?:
    | {
      /** Any text. */
      type: "text";
    }
    | null
    | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: structured
   * output is supported only in chat completions.
   */
  guided_regex?: "" | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: structured
   * output is supported only in chat completions.
   */
  guided_choice?: unknown[] | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: structured
   * output is supported only in chat completions.
   */
  guided_grammar?: "" | null | undefined;
}

/** What was written on a text. */
export interface TextCompletion {
  /** Id of the response, equal in all its chunks. */
  id: string;
  /** Creation time in epoch seconds. */
  created: number;
  /** The model that generated the reply. */
  model: string;
  /** Hash of the model's weights. */
  system_fingerprint: string;
  /** The object type. */
  object: "text_completion";
  /** The state after the reply; null if it was not stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
  /** The choices, as many as `n`. */
  choices: TextChoice[];
  /** Token counts. */
  usage: Usage;
}

/** A name that moves from state to state as turns are taken. */
export interface Conversation {
  /** Id of a conversation. */
  id: string;
  /** The object type. */
  object: "conversation";
  /** Creation time in epoch seconds. */
  created_at: number;
  /** The metadata set by the client. */
  metadata: Record<string, string>;
  /** The current state; null before the first turn or message. */
  state_id: string | null;
}

/** What a conversation is to become. */
export interface ConversationChange {
  /** At most 16 entries, with keys of up to 64 and values of up to 512 characters. */
  metadata?: Record<string, string> | null | undefined;
  /** The state from which the conversation continues. */
  state_id?: string | null | undefined;
  /**
   * Accepted only with a value that has no effect, else 400 `unsupported_value`: add messages
   * with POST /v1/conversations/{id}/items.
   */
  items?: unknown[] | null | undefined;
}

/** What a new conversation begins with. */
export interface NewConversation {
  /** At most 16 entries, with keys of up to 64 and values of up to 512 characters. */
  metadata?: Record<string, string> | null | undefined;
  /** The state from which the conversation continues. */
  state_id?: string | null | undefined;
  /** At most 20 messages, which the first turn processes after the given state. */
  items?: ResponseInputItem[] | null | undefined;
}

/** Unknown values are null. */
export interface Health {
  /**
   * `starting`: the model is loading. `ok`: it is running. `rebuilding`: it is being reloaded
   * after a GPU failure. `failed`: it failed to load or stopped running.
   */
  status: "starting" | "ok" | "rebuilding" | "failed";
  /** Why the status is neither `starting` nor `ok`. */
  reason: string | null;
  /** The model's id. */
  model: string | null;
  /** The engine that runs the model. */
  device: "webgpu" | "cpu" | null;
  /** Names of the GPU and its driver, from the platform. */
  adapter: string | null;
  /** The state store; null until it is open. */
  store: StoreHealth | null;
  /** The selected engine, and the reason. */
  device_reason: string | null;
  /** Whether the adapter is a software renderer. */
  software: boolean | null;
  /** Format of the weights in memory. */
  quant: string | null;
  /** Fraction of the weights that is loaded. */
  loaded: number | null;
  /** Bytes allocated by the engine. */
  memory: {
    /** Weights. */
    weights: number;
    /** States of all slots. */
    states: number;
    /** Working memory of the steps. */
    work: number;
    /** Sum of the above. */
    total: number;
  } | null;
  /** Why no GPU is used, unless `--device cpu` was given. */
  warning: string | null;
}

/** The model that a worker runs. */
export interface Model {
  /** Id of the model. */
  id: string;
  /** The object type. */
  object: "model";
  /** Modification time of the model file, in epoch seconds. */
  created: number;
  /** Always `rwkv`. */
  owned_by: "rwkv";
  /** Hash of the weights. States can be resumed by any model with the same fingerprint. */
  fingerprint: string;
  /** Format of the weights in this worker's memory. */
  quantization: string | null;
  /** Dimensions of the model. */
  sizes: {
    /** Number of layers. */
    layers: number;
    /** Embedding size. */
    width: number;
    /** Channels per head. */
    head_size: number;
    /** Vocabulary size. Token ids are below it. */
    vocabulary: number;
  };
  /** Size of a state in bytes, independent of the length of the conversation. */
  state_bytes: {
    /** Encoding of stored states. */
    codec: "f32" | "f16" | "q8";
    /** Size of a stored state with its header, without the conversation. */
    stored: number;
    /** Size of a state in the engine's memory. */
    float32: number;
  };
}

/** What is known of a stored state. */
export interface State {
  /** Id of a stored state. */
  id: string;
  /** The object type. */
  object: "state";
  /** The model that created the state. */
  model: string;
  /**
   * Hash of the model's weights, followed by `+` and the vocabulary's hash if the vocabulary
   * differs from the worker's. A worker with the same hashes can resume the state.
   */
  model_fingerprint: string;
  /**
   * Weight format of the worker that created the state. The same model in any other format
   * can resume it.
   */
  quant: string | null;
  /** Creation time in epoch seconds. */
  created: number;
  /** Expiry time in epoch seconds; each use extends it. */
  expires_at: number;
  /** Stored bytes: the state, the turn and the transcript. */
  bytes: number;
  /** Whether the reply is unfinished, so that it can be continued without a new message. */
  open: boolean;
  /** Tokens processed by the state. */
  tokens: number;
  /** Tokens to process first when the state is resumed. */
  pending_tokens: number;
  /** Number of messages in the conversation. */
  message_count: number;
  /** The page of the conversation selected by `after` and `limit`. */
  transcript: TranscriptEntry[];
  /** Whether there are more messages. A page also ends after 4 MiB. */
  has_more: boolean;
}

/** What somebody says. */
export type Message = PromptMessage | ReplyMessage;

/** One reply. */
export interface ChatChoice {
  /** Index of the choice. */
  index: number;
  /** The reply. */
  message: {
    /** Role of the author. */
    role: "assistant";
    /** The text generated by this request. */
    content: string;
    /** Always null. */
    refusal: null;
  };
  /** How probable the tokens of a reply were. */
  logprobs: ChatLogprobs | null;
  /**
   * `stop`: the reply is complete. `length`: it was truncated by the token limit or a
   * cancellation, and continues when its state is resumed without a message.
   */
  finish_reason: "stop" | "length";
  /** The state after the reply; null if it was not stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** Token counts. */
export interface Usage {
  /** All tokens of the prompt, including those already processed by the resumed state. */
  prompt_tokens: number;
  /** Generated tokens of all choices. */
  completion_tokens: number;
  /** The sum of both. */
  total_tokens: number;
  /** Details of the prompt tokens. */
  prompt_tokens_details: {
    /** Tokens of the prompt that were not reprocessed. */
    cached_tokens: number;
  };
}

/** What is new of one reply. */
export interface ChatChunkChoice {
  /** Index of the choice. */
  index: number;
  /** The difference to the previous chunk; empty in the last chunk of a choice. */
  delta: {
    /** Present in the first chunk of a choice. */
    role?: "assistant" | undefined;
    /** The next part of the reply. */
    content?: string | undefined;
  };
  /** How probable the tokens of a reply were. */
  logprobs: ChatLogprobs | null;
  /** Null except in the last chunk of a choice. */
  finish_reason: "stop" | "length" | null;
  /** The state after the reply; null if it was not stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** One text that was written. */
export interface TextChoice {
  /** Index of the choice. */
  index: number;
  /** The generated text. */
  text: string;
  /** How probable the tokens of a text were. */
  logprobs: TextLogprobs | null;
  /** The state after the reply; null if it was not stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
  /**
   * `stop`: the reply is complete. `length`: it was truncated by the token limit or a
   * cancellation, and continues when its state is resumed without a message.
   */
  finish_reason: "stop" | "length";
}

/** A message to add. */
export interface ResponseInputItem {
  /** Optional. */
  type?: "message" | undefined;
  /** Role of the author. */
  role: "system" | "developer" | "user" | "assistant";
  /** A text, or text parts, which are joined with newlines. */
  content: string | ResponseInputPart[];
}

/** The state store; null until it is open. */
export interface StoreHealth {
  /** Where states are stored. */
  kind: "memory" | "file" | "server";
  /**
   * Result of the last probe, at most some seconds old; `unknown` before the first one. While
   * the store is unreachable, only turns that do not resume a state are served.
   */
  status: "reachable" | "unreachable" | "unknown";
  /** Why the store is unreachable. */
  problem: string | null;
  /** Start of this status as observed by this worker, in ISO 8601. */
  since: string;
}

/** A message as a state keeps it. */
export interface TranscriptEntry {
  /** Role of the author. */
  role: "system" | "developer" | "user" | "assistant";
  /** Text of the message. */
  content: string;
}

/** A message that is read. */
export interface PromptMessage {
  /** Role of the author. `developer` is equivalent to `system`. */
  role: "system" | "developer" | "user";
  /** A text, or text parts, which are joined with newlines. */
  content: string | TextPart[];
}

/** A reply of the model, in a history. */
export interface ReplyMessage {
  /** A reply of the model. */
  role: "assistant";
  /** A text, or text parts, which are joined with newlines. */
  content?: string | TextPart[] | null | undefined;
}

/** How probable the tokens of a reply were. */
export interface ChatLogprobs {
  /** The tokens of the text in order. */
  content: ChatTokenLogprobs[];
  /** Always null. */
  refusal: null;
}

/** How probable the tokens of a text were. */
export interface TextLogprobs {
  /** The tokens of the text. */
  tokens: string[];
  /** Natural logarithms of the tokens' probabilities. */
  token_logprobs: number[];
  /** For each position, the most probable tokens. */
  top_logprobs: Record<string, number>[];
  /** Offset of each token in the text, in characters. */
  text_offset: number[];
}

/** A line of a message. */
export interface ResponseInputPart {
  /** Only text is supported. */
  type: "input_text" | "output_text";
  /** The text. */
  text: string;
}

/** A line of a message. */
export interface TextPart {
  /** Only text is supported. */
  type: "text";
  /** The text. */
  text: string;
}

/** How probable a token was, and the most probable ones in its place. */
export interface ChatTokenLogprobs {
  /** The token's text. Bytes that are not valid UTF-8 are replaced with U+FFFD. */
  token: string;
  /** Natural logarithm of the model's probability, before sampling parameters are applied. */
  logprob: number;
  /** The token's bytes. */
  bytes: number[];
  /** The most probable tokens at this position, in descending order. */
  top_logprobs: ChatTokenLogprob[];
}

/** How probable a token was. */
export interface ChatTokenLogprob {
  /** The token's text. Bytes that are not valid UTF-8 are replaced with U+FFFD. */
  token: string;
  /** Natural logarithm of the model's probability, before sampling parameters are applied. */
  logprob: number;
  /** The token's bytes. */
  bytes: number[];
}
