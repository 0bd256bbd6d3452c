/**
 * RWKV-5 for TypeScript: all of `lib.ts`, which runs anywhere, and what stands on Deno: the store of
 * recurrent states, conversations, and the HTTP application.
 *
 * @module
 */

// One list of the portable parts, which the package for Node is made of.
export * from "./lib.ts";
export { StateStore, type StateStoreOptions } from "./src/store/state_store.ts";
export {
  collectAllGarbage,
  collectGarbage,
  type Garbage,
  type GarbageOptions,
} from "./src/store/gc.ts";
export { DenoKvBackend } from "./src/store/deno_kv.ts";
export { Sessions, type SessionsOptions } from "./src/session/sessions.ts";
export {
  type SessionsByTenant,
  TenantSessions,
  type TenantSessionsOptions,
} from "./src/session/tenant_sessions.ts";
export type { HeldTurn, TurnsUnderway } from "./src/session/turns_underway.ts";
export { Access, type AccessOptions, type Gate, type Openness } from "./src/access/access.ts";
export type { Caller, KeySource } from "./src/access/key_source.ts";
export { type Ledger, type LedgerOptions, openLedger } from "./src/access/ledger.ts";
export type {
  RateExchange,
  RateKind,
  RateLeft,
  RateLimiter,
  RateLimiterOptions,
} from "./src/access/rate_limiter.ts";
export type { BySecond, RateUsage } from "./src/store/rate_rows.ts";
export { type ApiKeyRecord, ApiKeys, type ApiKeysOptions } from "./src/store/api_keys.ts";
export type { KeyLimits } from "./src/store/key_limits.ts";
export { BlobCache } from "./src/store/blob_cache.ts";
export { type AppOptions, createApp } from "./routes/app.ts";
export type { Answers, Claim, OnceRequest } from "./src/store/answers.ts";
export type {
  Conversation as StoredConversation,
  ConversationRow,
  Conversations,
  Metadata,
} from "./src/store/conversations.ts";
export type { HashedMessage, PrefixIndex } from "./src/store/prefix_index.ts";
export type {
  InspectedState,
  LoadedState,
  NewState,
  StateContent,
  StateNames,
  StoredState,
} from "./src/store/store_types.ts";
export type { StateChange, StateInfo } from "./src/store/state_rows.ts";
export type { StoredAmount, StoredUsage, StoredUsageOptions } from "./src/store/stored_usage.ts";
export type { RandomBytes } from "./src/store/state_id.ts";
export type { Backend, Check, Entry, Key, ListOptions, Mutation } from "./src/store/backend.ts";
export type { TokenCodec } from "./src/session/reply.ts";
export type {
  FinishReason,
  Sampling,
  SessionModel,
  StateDescription,
  TakeBytes,
  TextEvent,
  TextToken,
  TokenChance,
  TokenCharge,
  TurnAccount,
  TurnEnd,
  TurnEvent,
  TurnRequest,
  TurnResult,
  Usage as TurnUsage,
} from "./src/session/session_types.ts";
export type { SessionLimits } from "./src/session/turn_work.ts";
export type { AnswerDesk, AnswerUnderway, GivenAnswer } from "./src/session/answer_desk.ts";
export type { ItemStoreOptions } from "./src/session/conversation_items.ts";
export type {
  AddedItems,
  ConversationChange as ConversationMove,
  ConversationDesk,
  NewConversation as ConversationStart,
} from "./src/session/conversation_desk.ts";
export type { PageRequest, TranscriptMessage, TranscriptPage } from "./src/session/transcript.ts";
export type { TokenDesk } from "./src/session/token_desk.ts";
export type { Turn } from "./src/session/turn.ts";
export type { ReportedEnd, TurnReport } from "./src/session/turn_report.ts";
export type { ExportedState } from "./src/session/state_transfer.ts";
export type { StoreCondition, StoreWatch, WorkerDetails, WorkerStatus } from "./routes/worker.ts";
export type { Log } from "./routes/errors.ts";
export type { BlobReference } from "./src/store/blobs.ts";
export type { Manifest } from "./src/store/manifest.ts";
export type {
  Message as TurnMessage,
  Role,
  TextPart as TurnTextPart,
  TranscriptEntry as TurnTranscriptEntry,
} from "./src/session/chat_template.ts";
export type {
  EndedTurn,
  Telemetry,
  TurnOutcome,
  TurnPart,
  UnbegunReason,
} from "./src/core/telemetry.ts";
export type { MetricsText } from "./routes/metrics.ts";
export type { AnsweredRequest } from "./routes/answered.ts";
