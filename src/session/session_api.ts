/** What sessions offer to the HTTP routes. Routes depend on these interfaces, not on the classes. */

import type { Message, TranscriptEntry } from "../prompt/chat_template.ts";
import type { IdempotentRequest } from "../store/idempotency/idempotent_request.ts";
import type { Conversation, Metadata } from "../store/states/conversations.ts";
import type {
  FinishReason,
  ReserveMemory,
  SessionModel,
  StateDescription,
  TurnAccount,
  TurnEvent,
  TurnRequest,
  TurnResult,
  Usage,
} from "./session_types.ts";

/** The sessions of one tenant. */
export interface SessionApi {
  /** The model that the worker runs. */
  readonly model: SessionModel;
  /** Responses by their idempotency keys. */
  readonly idempotency: IdempotencyApi;
  /** The conversations of the tenant. */
  readonly conversations: ConversationApi;
  /** Tokenization with the model's vocabulary. */
  readonly tokens: TokenApi;

  /** Starts a turn. */
  start(request: TurnRequest, signal?: AbortSignal): Promise<Turn>;

  /** Starts `choices` turns from one request, whose prompt is processed once. */
  startAll(request: TurnRequest, choices: number, signal?: AbortSignal): Promise<Turn[]>;

  /** Describes a state, with a page of its transcript: the first 1000 messages by default. */
  describe(
    id: string,
    page?: PageRequest & { reserve?: ReserveMemory | undefined },
  ): Promise<StateDescription>;

  /** Returns the report of the turn that led to a state, or `null` if it has none. */
  report(id: string): Promise<TurnReport | null>;

  /** Exports a state as a file. */
  exportState(id: string, reserve?: ReserveMemory): Promise<ExportedState>;

  /** Returns the largest file that `importState` accepts, in bytes. */
  readonly importLimit: number;

  /** Imports a state from an untrusted file under a new id. */
  importState(
    chunks: AsyncIterable<Uint8Array>,
    account?: TurnAccount,
  ): Promise<StateDescription>;

  /** Deletes a state. */
  delete(id: string): Promise<void>;
}

/** The sessions of all tenants. */
export interface SessionsByTenant {
  /** Returns the sessions of a tenant. */
  forTenant(tenant: string): SessionApi;
}

/** A running turn: its text as it is generated, and its result. */
export interface Turn {
  /** 48 hexadecimal digits. */
  readonly id: string;
  /** Epoch milliseconds. */
  readonly created: number;
  /** Id of the state that the turn leads to, if that is stored. */
  readonly finalStateId: string;
  /** Id of the state that the turn leads to, if that can be resumed already. */
  readonly stateId: string | null;

  /** Yields the text as it is generated, then the end, once the state is stored. For one reader. */
  events(): AsyncIterable<TurnEvent>;

  /** Returns the whole turn, once the state is stored. */
  result(): Promise<TurnResult>;

  /** Ends the turn within one token. A streamed turn is stored as far as it was generated. */
  cancel(): void;
}

/** Conversations by id. */
export interface ConversationApi {
  /** Creates a conversation. */
  create(conversation?: NewConversation, account?: TurnAccount): Promise<Conversation>;
  /** Adds messages for the next turn to process. */
  addItems(
    id: string,
    items: readonly TranscriptEntry[],
    account?: TurnAccount,
  ): Promise<AddedItems>;
  /** Returns a conversation. */
  get(id: string): Promise<Conversation>;
  /** Returns a page of the transcript. */
  transcript(
    id: string,
    page: PageRequest,
    reserve?: ReserveMemory,
  ): Promise<TranscriptPage & { open: boolean }>;
  /** Changes the state or the metadata of a conversation. */
  update(id: string, change: ConversationChange): Promise<Conversation>;
  /** Deletes a conversation. Its states stay. */
  delete(id: string): Promise<void>;
}

/** Changes of a conversation. */
export interface ConversationChange {
  /** The state from which the conversation continues. */
  stateId?: string | undefined;
  /** Replaces all metadata. */
  metadata?: Metadata | undefined;
}

/** A new conversation. */
export interface NewConversation extends ConversationChange {
  /** Messages after the state, which the first turn processes. */
  items?: readonly TranscriptEntry[] | undefined;
}

/** Messages that were added to a conversation. */
export interface AddedItems {
  /** Number of messages before these. */
  precedingMessages: number;
  /** The new state of the conversation. */
  stateId: string;
}

/** A request for a page of a transcript. */
export interface PageRequest {
  /** Maximum number of messages; 1000 by default. */
  limit?: number | undefined;
  /** Bytes of JSON after which the page ends; 4 MiB by default. */
  maxBytes?: number | undefined;
  /** Index of the message before the page; the page starts with the first message by default. */
  after?: number | undefined;
  /** `asc`, the earliest message first, by default. */
  order?: "asc" | "desc" | undefined;
  /** Whether the instructions of the latest turn are left out. */
  withoutInstructions?: boolean | undefined;
}

/** A page of a transcript. */
export interface TranscriptPage {
  /** In the requested order. */
  messages: TranscriptMessage[];
  /** Number of messages in the whole transcript. */
  total: number;
  /** Whether messages follow these. */
  hasMore: boolean;
}

/** A message with its position. */
export interface TranscriptMessage extends TranscriptEntry {
  /** Its index in the whole transcript. */
  index: number;
}

/** Tokenization with the model's vocabulary. */
export interface TokenApi {
  /** Returns the token ids of a text. */
  tokenize(text: string): number[];
  /** Returns the token ids that a first turn with these messages processes. */
  tokenizeMessages(messages: readonly Message[]): Promise<number[]>;
  /** Returns the text of token ids. */
  detokenize(ids: readonly number[]): Promise<string>;
}

/** Maximum number of token ids of a tokenized text: the response is not paged. */
export const MAX_TOKENIZED = 65_536;

/** Responses by their idempotency keys. */
export interface IdempotencyApi {
  /** Returns the stored response, or claims the key for a new one. */
  begin(
    request: IdempotentRequest,
  ): Promise<{ stored: StoredResponse } | { claim: ResponseClaim }>;
}

/** A complete HTTP response. */
export interface StoredResponse {
  /** HTTP status. */
  status: number;
  /** Response headers, by name. */
  headers: Record<string, string>;
  /** The bytes as they were sent. */
  body: Uint8Array;
}

/** A claimed key: no other request with it runs until one of these is called. */
export interface ResponseClaim {
  /** Stores the response for retries, until one of the states that it names is deleted. */
  store(answer: StoredResponse, states: readonly string[]): Promise<void>;
  /** Records a response that is too large to store and whose text is in `states`. */
  storeWithoutBody(states: readonly string[]): Promise<void>;
  /** Releases the key without a response. */
  release(): Promise<void>;
}

/** A state as a file. */
export interface ExportedState {
  /** A file name. */
  name: string;
  /** Size of the whole file in bytes. */
  bytes: number;
  /** The file in pieces. */
  parts: readonly Uint8Array[];
}

/** What is stored for the client of a turn. */
export interface TurnReport {
  /** The request's note, any JSON. */
  note: unknown;
  /** Epoch milliseconds. */
  created: number;
  /** `null` while the turn is running, or if its worker ended before the turn did. */
  end: ReportedResult | null;
}

/** How a turn ended. */
export interface ReportedResult {
  /** Why the reply ended. */
  finishReason: FinishReason;
  /** Prompt and completion tokens. */
  usage: Usage;
  /** The text that the turn added to the reply. */
  text: string;
}
