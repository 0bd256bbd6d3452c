/**
 * The API's objects, as workers check and document them. Written by `deno task client:types`; what
 * it says stands in the schemas of `routes`.
 */

/** A turn to take: what is said, where it goes on from, how it is answered. */
export interface ChatCompletionRequest {
  /**
   * The id that `/v1/models` lists, or `default`; anything else is 404 `model_not_found`. The
   * one that runs, unless given or where it is empty.
   */
  model?: string | null | undefined;
  /** The state that is resumed; the request then holds only what is new. */
  state_id?: string | null | undefined;
  /**
   * An id, or an object with it: resumes the conversation where it stands, and moves it on.
   * Not together with `state_id`.
   */
  conversation?:
    | string
    | {
      /** Names a conversation. */
      id: string;
    }
    | null
    | undefined;
  /**
   * What happens to a state of another model: it is refused (`error`, unless given), or read
   * again from its transcript (`reread`).
   */
  on_mismatch?: "error" | "reread" | null | undefined;
  /** Seconds that the new state lasts after its last use; the worker's own unless given. */
  state_ttl?: number | null | undefined;
  /**
   * `false`: nothing of this turn is kept, neither state nor text nor, under an
   * `Idempotency-Key`, its answer; `state_id` is null. Not in a conversation. `true` unless
   * given.
   */
  store?: boolean | null | undefined;
  /** Whether the reply comes as server-sent events, `[DONE]` at the end. */
  stream?: boolean | null | undefined;
  /** Of streams. */
  stream_options?:
    | {
      /** Whether a chunk with the usage comes before `[DONE]`. */
      include_usage?: boolean | null | undefined;
    }
    | null
    | undefined;
  /** Tokens to write at most; 512 unless given, or where it is -1. */
  max_tokens?: number | null | undefined;
  /**
   * Whether the reply goes on behind the end of the text and behind empty lines, to
   * `max_tokens` or a stop string. Not with a form. `false` unless given.
   */
  ignore_eos?: boolean | null | undefined;
  /**
   * Tokens to write at least; above 0 only with `ignore_eos`, without `stop`, and not above
   * `max_tokens`. 0 unless given.
   */
  min_tokens?: number | null | undefined;
  /**
   * Choices, each with a `state_id` of its own. The prompt is read once for all. The first
   * one is that which `n` 1 would give, the next ones have the seeds after it.
   */
  n?: number | null | undefined;
  /**
   * A string, or up to 256 of 2,048 bytes together: the reply ends before it. Empty strings
   * are ignored. An empty line always ends a chat reply. The state has read the string all
   * the same, so that `state_id` goes on behind it.
   */
  stop?: string | string[] | null | undefined;
  /** Sampling temperature. 0 always takes the most probable token. 1 unless given. */
  temperature?: number | null | undefined;
  /**
   * Nucleus sampling: keeps the most probable tokens whose probabilities add up to this
   * value. 1 unless given.
   */
  top_p?: number | null | undefined;
  /** Keeps this many of the most probable tokens. 0 and -1 keep all of them. 0 unless given. */
  top_k?: number | null | undefined;
  /**
   * Keeps tokens whose probability is at least this fraction of the highest one. 0 unless
   * given.
   */
  min_p?: number | null | undefined;
  /**
   * Divides the positive logits, and multiplies the negative logits, of tokens sampled
   * earlier in the conversation. From 0.1; 1 and 0 disable it. 1 unless given.
   */
  repetition_penalty?: number | null | undefined;
  /**
   * Subtracted once from the logits of tokens sampled earlier in the whole conversation. 0
   * unless given.
   */
  presence_penalty?: number | null | undefined;
  /**
   * Subtracted from a token's logit for each time it was sampled in the whole conversation. 0
   * unless given.
   */
  frequency_penalty?: number | null | undefined;
  /** Factor on the counts of the penalties after each token. 1 unless given. */
  penalty_decay?: number | null | undefined;
  /** Added to logits, from -100 to 100, by token id; 4096 at most. */
  logit_bias?: Record<string, number> | null | undefined;
  /**
   * From -2^63 to 2^64-1. The same seed gives the same text on any worker, and after any
   * resume; beyond 2^53, seeds that JSON numbers cannot tell apart are the same. A new one,
   * or that of the turn which goes on, unless given.
   */
  seed?: number | null | undefined;
  /**
   * The conversation; what is new of it, where a state or a conversation goes on; empty to
   * let an open reply go on. A last message of the assistant is the beginning of the reply,
   * which continues it, unless `continue_final_message` is `false`.
   */
  messages?: Message[] | null | undefined;
  /**
   * Whether the reply continues the last message, which is the assistant's: the answer has
   * only what follows. It does so unless this is `false`. Not with a form.
   */
  continue_final_message?: boolean | null | undefined;
  /**
   * `true`: as `continue_final_message` `false`. `false` only where the last message is
   * continued.
   */
  add_generation_prompt?: boolean | null | undefined;
  /** The same as `max_tokens`, and goes before it. */
  max_completion_tokens?: number | null | undefined;
  /**
   * Whether it is told how probable each token of the reply was. Choices times tokens to
   * write at most times probabilities a token (those most probable, and its own) are at most
   * 200,000, unless the reply is streamed. A stream of which as many wait to be read ends
   * with `length`, and its state goes on.
   */
  logprobs?: boolean | null | undefined;
  /** How many most probable tokens are told with each one; needs `logprobs`. */
  top_logprobs?: number | null | undefined;
  /**
   * What the reply must be: any text, any JSON object, or JSON that is valid by a schema. A
   * reply that `max_tokens` cuts is a part of it.
   */
  response_format?:
    | {
      /** Any text. */
      type: "text";
    }
    | {
      /** Any JSON object, or JSON by a schema. */
      type: "json_object";
      /**
       * A JSON schema. What no grammar can hold (`not`, `if`, `uniqueItems`, …) is 400
       * `invalid_value`, by name and place.
       */
      schema?: object | undefined;
    }
    | {
      /** JSON by a schema. */
      type: "json_schema";
      /** The schema, and what it is called. */
      json_schema: {
        /** Yours. */
        name?: string | null | undefined;
        /** Yours. */
        description?: string | null | undefined;
        /**
         * A JSON schema. What no grammar can hold (`not`, `if`, `uniqueItems`, …) is 400
         * `invalid_value`, by name and place.
         */
        schema: object;
        /** The schema is held to in any case. */
        strict?: boolean | null | undefined;
      };
    }
    | null
    | undefined;
  /** A regular expression that the whole reply matches. */
  guided_regex?: string | null | undefined;
  /** Texts of which the reply is one. */
  guided_choice?: string[] | null | undefined;
  /** A grammar in EBNF that makes the reply by its rule `root`. */
  guided_grammar?: string | null | undefined;
  /** A JSON schema, or its text, that the reply is valid by. */
  guided_json?: object | string | null | undefined;
  /** A JSON schema, or its text, that the reply is valid by. */
  json_schema?: object | string | null | undefined;
  /** A grammar in EBNF that makes the reply by its rule `root`. */
  grammar?: string | null | undefined;
  /** What the reply must be, as vLLM names it: one of its fields. */
  structured_outputs?:
    | {
      /** A JSON schema, or its text, that the reply is valid by. */
      json?: object | string | null | undefined;
      /** A regular expression that the whole reply matches. */
      regex?: string | null | undefined;
      /** Texts of which the reply is one. */
      choice?: string[] | null | undefined;
      /** A grammar in EBNF that makes the reply by its rule `root`. */
      grammar?: string | null | undefined;
      /** Any object. */
      json_object?: boolean | null | undefined;
    }
    | null
    | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: tools are not
   * supported.
   */
  tools?: unknown[] | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: functions are not
   * supported.
   */
  functions?: unknown[] | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: tools are not
   * supported.
   */
  tool_choice?: "none" | "auto" | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: functions are not
   * supported.
   */
  function_call?: "none" | "auto" | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: only ["text"] is
   * supported.
   */
  modalities?: "text"[] | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: audio is not
   * supported.
   */
  audio?: null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: web search is not
   * supported.
   */
  web_search_options?: null | undefined;
}

/** A turn as it ended, in one choice or several. */
export interface ChatCompletion {
  /** Names the turn, the same in all its chunks. */
  id: string;
  /** When the turn began, in epoch seconds. */
  created: number;
  /** The model that wrote. */
  model: string;
  /** Of the model's weights. */
  system_fingerprint: string;
  /** What this is. */
  object: "chat.completion";
  /** As many as `n` asks for. */
  choices: ChatChoice[];
  /** Tokens read and written. */
  usage: Usage;
  /** The state after the reply; null where none was stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** A piece of a streamed turn. */
export interface ChatCompletionChunk {
  /** Names the turn, the same in all its chunks. */
  id: string;
  /** When the turn began, in epoch seconds. */
  created: number;
  /** The model that wrote. */
  model: string;
  /** Of the model's weights. */
  system_fingerprint: string;
  /** What this is. */
  object: "chat.completion.chunk";
  /** One; none in the chunk with the usage. */
  choices: ChatChunkChoice[];
  /** Where `stream_options.include_usage` asks for it: null but in the last chunk. */
  usage?:
    | {
      /** Everything that the model has read, what its state had absorbed before included. */
      prompt_tokens: number;
      /** Written, in all choices. */
      completion_tokens: number;
      /** The sum of both. */
      total_tokens: number;
      /** Of the prompt. */
      prompt_tokens_details: {
        /** Tokens of the prompt that did not have to be read again. */
        cached_tokens: number;
      };
    }
    | null
    | undefined;
  /** The state after the reply; null where none was stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** A text to be written on as it stands. */
export interface CompletionRequest {
  /**
   * The id that `/v1/models` lists, or `default`; anything else is 404 `model_not_found`. The
   * one that runs, unless given or where it is empty.
   */
  model?: string | null | undefined;
  /** The state that is resumed; the request then holds only what is new. */
  state_id?: string | null | undefined;
  /**
   * An id, or an object with it: resumes the conversation where it stands, and moves it on.
   * Not together with `state_id`.
   */
  conversation?:
    | string
    | {
      /** Names a conversation. */
      id: string;
    }
    | null
    | undefined;
  /**
   * What happens to a state of another model: it is refused (`error`, unless given), or read
   * again from its transcript (`reread`).
   */
  on_mismatch?: "error" | "reread" | null | undefined;
  /** Seconds that the new state lasts after its last use; the worker's own unless given. */
  state_ttl?: number | null | undefined;
  /**
   * `false`: nothing of this turn is kept, neither state nor text nor, under an
   * `Idempotency-Key`, its answer; `state_id` is null. Not in a conversation. `true` unless
   * given.
   */
  store?: boolean | null | undefined;
  /** Whether the reply comes as server-sent events, `[DONE]` at the end. */
  stream?: boolean | null | undefined;
  /** Of streams. */
  stream_options?:
    | {
      /** Whether a chunk with the usage comes before `[DONE]`. */
      include_usage?: boolean | null | undefined;
    }
    | null
    | undefined;
  /** Tokens to write at most; 512 unless given, or where it is -1. */
  max_tokens?: number | null | undefined;
  /**
   * Whether the reply goes on behind the end of the text and behind empty lines, to
   * `max_tokens` or a stop string. Not with a form. `false` unless given.
   */
  ignore_eos?: boolean | null | undefined;
  /**
   * Tokens to write at least; above 0 only with `ignore_eos`, without `stop`, and not above
   * `max_tokens`. 0 unless given.
   */
  min_tokens?: number | null | undefined;
  /**
   * Choices, each with a `state_id` of its own. The prompt is read once for all. The first
   * one is that which `n` 1 would give, the next ones have the seeds after it.
   */
  n?: number | null | undefined;
  /**
   * A string, or up to 256 of 2,048 bytes together: the reply ends before it. Empty strings
   * are ignored. An empty line always ends a chat reply. The state has read the string all
   * the same, so that `state_id` goes on behind it.
   */
  stop?: string | string[] | null | undefined;
  /** Sampling temperature. 0 always takes the most probable token. 1 unless given. */
  temperature?: number | null | undefined;
  /**
   * Nucleus sampling: keeps the most probable tokens whose probabilities add up to this
   * value. 1 unless given.
   */
  top_p?: number | null | undefined;
  /** Keeps this many of the most probable tokens. 0 and -1 keep all of them. 0 unless given. */
  top_k?: number | null | undefined;
  /**
   * Keeps tokens whose probability is at least this fraction of the highest one. 0 unless
   * given.
   */
  min_p?: number | null | undefined;
  /**
   * Divides the positive logits, and multiplies the negative logits, of tokens sampled
   * earlier in the conversation. From 0.1; 1 and 0 disable it. 1 unless given.
   */
  repetition_penalty?: number | null | undefined;
  /**
   * Subtracted once from the logits of tokens sampled earlier in the whole conversation. 0
   * unless given.
   */
  presence_penalty?: number | null | undefined;
  /**
   * Subtracted from a token's logit for each time it was sampled in the whole conversation. 0
   * unless given.
   */
  frequency_penalty?: number | null | undefined;
  /** Factor on the counts of the penalties after each token. 1 unless given. */
  penalty_decay?: number | null | undefined;
  /** Added to logits, from -100 to 100, by token id; 4096 at most. */
  logit_bias?: Record<string, number> | null | undefined;
  /**
   * From -2^63 to 2^64-1. The same seed gives the same text on any worker, and after any
   * resume; beyond 2^53, seeds that JSON numbers cannot tell apart are the same. A new one,
   * or that of the turn which goes on, unless given.
   */
  seed?: number | null | undefined;
  /**
   * A text, which is written on as it stands: no template, and no end but `stop`,
   * `max_tokens` and the model's own. Left out to let an open reply go on.
   */
  prompt?: string | [string] | null | undefined;
  /**
   * Tells how probable each token was, with so many of the most probable ones; `false` or
   * null: not at all. Choices times tokens to write at most times probabilities a token
   * (those most probable, and its own) are at most 200,000, unless the reply is streamed. A
   * stream of which as many wait to be read ends with `length`, and its state goes on.
   */
  logprobs?: number | false | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: the prompt is not
   * written again.
   */
  echo?: false | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: what comes after a
   * gap cannot be told.
   */
  suffix?: "" | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: replies are held to a
   * form in chat completions only.
   */
  response_format?:
    | {
      /** Any text. */
      type: "text";
    }
    | null
    | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: replies are held to a
   * form in chat completions only.
   */
  guided_regex?: "" | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: replies are held to a
   * form in chat completions only.
   */
  guided_choice?: unknown[] | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: replies are held to a
   * form in chat completions only.
   */
  guided_grammar?: "" | null | undefined;
}

/** What was written on a text. */
export interface TextCompletion {
  /** Names the turn, the same in all its chunks. */
  id: string;
  /** When the turn began, in epoch seconds. */
  created: number;
  /** The model that wrote. */
  model: string;
  /** Of the model's weights. */
  system_fingerprint: string;
  /** What this is. */
  object: "text_completion";
  /** The state after the reply; null where none was stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
  /** As many as `n` asks for. */
  choices: TextChoice[];
  /** Tokens read and written. */
  usage: Usage;
}

/** A name that moves from state to state as turns are taken. */
export interface Conversation {
  /** Names a conversation. */
  id: string;
  /** What this is. */
  object: "conversation";
  /** When it began, in epoch seconds. */
  created_at: number;
  /** As it was given. */
  metadata: Record<string, string>;
  /** The state that it has come to; null before the first turn or message. */
  state_id: string | null;
}

/** What a conversation is to become. */
export interface ConversationChange {
  /** Strings of up to 512 characters, by names of up to 64; 16 of them at most. */
  metadata?: Record<string, string> | null | undefined;
  /** The state that the conversation is to go on from. */
  state_id?: string | null | undefined;
  /**
   * Taken only where it asks for nothing, else 400 `unsupported_value`: messages are added by
   * POST /v1/conversations/{id}/items.
   */
  items?: unknown[] | null | undefined;
}

/** What a new conversation begins with. */
export interface NewConversation {
  /** Strings of up to 512 characters, by names of up to 64; 16 of them at most. */
  metadata?: Record<string, string> | null | undefined;
  /** The state that the conversation is to go on from. */
  state_id?: string | null | undefined;
  /** Messages that the first turn reads, 20 at most: behind the state, where one is given. */
  items?: ResponseInputItem[] | null | undefined;
}

/** What is not known yet is null. */
export interface Health {
  /**
   * Whether the model loads, runs, is loaded again since the GPU has failed, or could not be
   * loaded.
   */
  status: "starting" | "ok" | "rebuilding" | "failed";
  /** Why it is neither starting nor ok. */
  reason: string | null;
  /** The model's id. */
  model: string | null;
  /** What it runs on. */
  device: "webgpu" | "cpu" | null;
  /** The GPU and its driver, as the platform names them. */
  adapter: string | null;
  /** The store of states, once it is open. */
  store: StoreHealth | null;
  /** Which engine runs, and why. */
  device_reason: string | null;
  /** Whether the adapter is a software renderer. */
  software: boolean | null;
  /** How the weights are held. */
  quant: string | null;
  /** Share of the weights that is in its place. */
  loaded: number | null;
  /** Bytes that the engine has allocated. */
  memory: {
    /** Of the weights. */
    weights: number;
    /** Of the states of all slots. */
    states: number;
    /** Of what steps need. */
    work: number;
    /** Their sum. */
    total: number;
  } | null;
  /** Why no GPU is used, unless `--device cpu` asks for that. */
  warning: string | null;
}

/** The model that a worker runs. */
export interface Model {
  /** The model's name. */
  id: string;
  /** What this is. */
  object: "model";
  /** When its file was written, in epoch seconds. */
  created: number;
  /** Always the same. */
  owned_by: "rwkv";
  /** Of the weights: states go on with every model that has the same one. */
  fingerprint: string;
  /** How this worker holds the weights. */
  quantization: string | null;
  /** Of the model. */
  sizes: {
    /** Blocks. */
    layers: number;
    /** Channels. */
    width: number;
    /** Channels of a head. */
    head_size: number;
    /** Rows of the head; ids of tokens are below. */
    vocabulary: number;
  };
  /** Bytes of a state, however long the conversation is. */
  state_bytes: {
    /** How this worker stores states. */
    codec: "f32" | "f16" | "q8";
    /** Of a state as it is stored, its header included; the conversation comes on top. */
    stored: number;
    /** Of its numbers as the engine holds them. */
    float32: number;
  };
}

/** What is known of a stored state. */
export interface State {
  /** Names a stored state. */
  id: string;
  /** What this is. */
  object: "state";
  /** The model that wrote it. */
  model: string;
  /**
   * Of the model's weights, with `+` and the vocabulary's hash where that is another one than
   * the worker's: a worker with the same ones may resume the state.
   */
  model_fingerprint: string;
  /**
   * How the worker that wrote it held the weights. Any other way of holding the same model
   * resumes it.
   */
  quant: string | null;
  /** When it was stored, in epoch seconds. */
  created: number;
  /** When it expires unless it is used before, in epoch seconds. */
  expires_at: number;
  /** Stored for it: the state, the turn and the transcript. */
  bytes: number;
  /** Whether the reply is unfinished and goes on without a new message. */
  open: boolean;
  /** Absorbed by the state. */
  tokens: number;
  /** To be read first when the state is resumed. */
  pending_tokens: number;
  /** Messages of the whole conversation that led to it. */
  message_count: number;
  /** The conversation, or the page of it that `after` and `limit` ask for. */
  transcript: TranscriptEntry[];
  /** Whether there are messages after this page. It also ends after 4 MiB. */
  has_more: boolean;
}

/** What somebody says. */
export type Message = PromptMessage | ReplyMessage;

/** One reply. */
export interface ChatChoice {
  /** Of the choice. */
  index: number;
  /** The reply. */
  message: {
    /** Who speaks. */
    role: "assistant";
    /** What this turn added to the reply. */
    content: string;
    /** Always null. */
    refusal: null;
  };
  /** How probable the tokens of a reply were. */
  logprobs: ChatLogprobs | null;
  /**
   * `stop`: the reply ended. `length`: it was cut short, by the limit or by a cancellation,
   * and goes on when its state is resumed without a message.
   */
  finish_reason: "stop" | "length";
  /** The state after the reply; null where none was stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** Tokens read and written. */
export interface Usage {
  /** Everything that the model has read, what its state had absorbed before included. */
  prompt_tokens: number;
  /** Written, in all choices. */
  completion_tokens: number;
  /** The sum of both. */
  total_tokens: number;
  /** Of the prompt. */
  prompt_tokens_details: {
    /** Tokens of the prompt that did not have to be read again. */
    cached_tokens: number;
  };
}

/** What is new of one reply. */
export interface ChatChunkChoice {
  /** Of the choice. */
  index: number;
  /** What is new; empty in the last chunk of a choice. */
  delta: {
    /** In the first chunk of a choice. */
    role?: "assistant" | undefined;
    /** More of the reply. */
    content?: string | undefined;
  };
  /** How probable the tokens of a reply were. */
  logprobs: ChatLogprobs | null;
  /** Null but in the last chunk of a choice. */
  finish_reason: "stop" | "length" | null;
  /** The state after the reply; null where none was stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** One text that was written. */
export interface TextChoice {
  /** Of the choice. */
  index: number;
  /** What was written. */
  text: string;
  /** How probable the tokens of a text were. */
  logprobs: TextLogprobs | null;
  /** The state after the reply; null where none was stored. */
  state_id?: string | null | undefined;
  /** Why the state could not be stored. */
  warning?: string | undefined;
  /**
   * `stop`: the reply ended. `length`: it was cut short, by the limit or by a cancellation,
   * and goes on when its state is resumed without a message.
   */
  finish_reason: "stop" | "length";
}

/** A message to add. */
export interface ResponseInputItem {
  /** May be left out. */
  type?: "message" | undefined;
  /** Who speaks. */
  role: "system" | "developer" | "user" | "assistant";
  /** A text, or its parts, a line each. */
  content: string | ResponseInputPart[];
}

/** The store of states, once it is open. */
export interface StoreHealth {
  /** What holds the states. */
  kind: "memory" | "file" | "server";
  /**
   * Whether it answers, as it was asked some seconds ago at most, or has just not been asked
   * yet. While it does not, only turns that start anew are answered.
   */
  status: "reachable" | "unreachable" | "unknown";
  /** What is wrong where it is unreachable. */
  problem: string | null;
  /** Since when it has been so, as far as this worker knows, by ISO 8601. */
  since: string;
}

/** A message as a state keeps it. */
export interface TranscriptEntry {
  /** Who spoke. */
  role: "system" | "developer" | "user" | "assistant";
  /** What was said. */
  content: string;
}

/** A message that is read. */
export interface PromptMessage {
  /** Who speaks; `developer` is the same as `system`. */
  role: "system" | "developer" | "user";
  /** A text, or its parts, a line each. */
  content: string | TextPart[];
}

/** A reply of the model, in a history. */
export interface ReplyMessage {
  /** A reply. */
  role: "assistant";
  /** A text, or its parts, a line each. */
  content?: string | TextPart[] | null | undefined;
}

/** How probable the tokens of a reply were. */
export interface ChatLogprobs {
  /** The tokens of the text, in order. */
  content: ChatTokenLogprobs[];
  /** Always null. */
  refusal: null;
}

/** How probable the tokens of a text were. */
export interface TextLogprobs {
  /** The tokens of the text. */
  tokens: string[];
  /** Natural logarithms of their probabilities. */
  token_logprobs: number[];
  /** For each, the most probable tokens in its place. */
  top_logprobs: Record<string, number>[];
  /** Where each begins in the text, in characters. */
  text_offset: number[];
}

/** A line of a message. */
export interface ResponseInputPart {
  /** Only text is read. */
  type: "input_text" | "output_text";
  /** The text. */
  text: string;
}

/** A line of a message. */
export interface TextPart {
  /** Only text is read. */
  type: "text";
  /** The text. */
  text: string;
}

/** How probable a token was, and the most probable ones in its place. */
export interface ChatTokenLogprobs {
  /** Its text; what is not UTF-8 by itself shows as U+FFFD. */
  token: string;
  /** Natural logarithm of its probability by the model alone, before any sampling setting. */
  logprob: number;
  /** Its bytes. */
  bytes: number[];
  /** The most probable tokens in its place, the most probable one first. */
  top_logprobs: ChatTokenLogprob[];
}

/** How probable a token was. */
export interface ChatTokenLogprob {
  /** Its text; what is not UTF-8 by itself shows as U+FFFD. */
  token: string;
  /** Natural logarithm of its probability by the model alone, before any sampling setting. */
  logprob: number;
  /** Its bytes. */
  bytes: number[];
}
