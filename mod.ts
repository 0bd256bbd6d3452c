/**
 * RWKV-5 for TypeScript: everything in `lib.ts`, which runs on every runtime, and the parts that
 * need Deno: the state store, conversations, and the HTTP application.
 *
 * @module
 */

// The Node package is built from `lib.ts`, so the portable exports are listed only there.
export * from "./lib.ts";
export { StateStore, type StateStoreOptions } from "./src/store/states/state_store.ts";
export {
  collectAllGarbage,
  collectGarbage,
  type Garbage,
  type GarbageOptions,
} from "./src/store/states/gc.ts";
export { DenoKvBackend } from "./src/store/backends/deno_kv.ts";
export { Sessions, type SessionsOptions } from "./src/session/sessions.ts";
export { TenantSessions, type TenantSessionsOptions } from "./src/session/tenant_sessions.ts";
export type { ActiveTurns, TrackedTurn } from "./src/session/turn_handle.ts";
export { KeyAuth, type KeyAuthOptions, type KeylessAccess } from "./src/access/key_auth.ts";
export type { KeySource } from "./src/access/key_source.ts";
export {
  openUsageTracker,
  type UsageTracker,
  type UsageTrackerOptions,
} from "./src/access/usage_tracker.ts";
export type { RateExchange, RateLimiter, RateLimiterOptions } from "./src/access/rate_limiter.ts";
export type { BySecond, RateUsage } from "./src/store/usage/rate_rows.ts";
export { type ApiKeyRecord, ApiKeys, type ApiKeysOptions } from "./src/store/keys/api_keys.ts";
export type { KeyLimits } from "./src/store/keys/key_limits.ts";
export { BlobCache } from "./src/store/states/blob_cache.ts";
export { type AppOptions, createApp } from "./routes/app.ts";
export type { Claim, IdempotencyRecords } from "./src/store/idempotency/idempotency_records.ts";
export type { IdempotentRequest } from "./src/store/idempotency/idempotent_request.ts";
export type {
  Conversation as StoredConversation,
  ConversationRow,
  Conversations,
  Metadata,
} from "./src/store/states/conversations.ts";
export type { HashedMessage, PrefixIndex } from "./src/store/states/prefix_index.ts";
export type {
  InspectedState,
  LoadedState,
  NewState,
  StateContent,
  StateNames,
  StoredState,
} from "./src/store/states/store_types.ts";
export type { StateChange, StateInfo } from "./src/store/states/state_rows.ts";
export type {
  StoredAmount,
  StoredUsage,
  StoredUsageOptions,
} from "./src/store/usage/stored_usage.ts";
export type { RandomBytes } from "./src/store/states/state_id.ts";
export type {
  Backend,
  Check,
  Entry,
  Key,
  ListOptions,
  Mutation,
} from "./src/store/backends/backend.ts";
export type { TokenCodec } from "./src/prompt/reply.ts";
export type {
  FinishReason,
  ReserveMemory,
  Sampling,
  SessionModel,
  StateDescription,
  TextEvent,
  TextToken,
  TokenProbability,
  TurnAccount,
  TurnEnd,
  TurnEvent,
  TurnRequest,
  TurnResult,
  Usage as TurnUsage,
} from "./src/session/session_types.ts";
export type { IdempotencyService } from "./src/session/idempotency_service.ts";
export type { ConversationService, ItemStoreOptions } from "./src/session/conversation_service.ts";
export type { TokenService } from "./src/session/token_service.ts";
export type { StoreMonitor, StoreStatus, WorkerDetails, WorkerStatus } from "./routes/worker.ts";
export type { Log } from "./routes/middleware/errors.ts";
export type { BlobReference } from "./src/store/states/blobs.ts";
export type { Manifest } from "./src/store/states/manifest.ts";
export type {
  Message as TurnMessage,
  Role,
  TextPart as TurnTextPart,
  TranscriptEntry as TurnTranscriptEntry,
} from "./src/prompt/chat_template.ts";
export type {
  RejectionReason,
  Telemetry,
  TurnMetrics,
  TurnOutcome,
  TurnPhase,
} from "./src/core/telemetry.ts";
export type { MetricsSource } from "./routes/system/metrics.ts";
export type { ObservedRequest } from "./routes/middleware/request_observer.ts";
export type {
  AddedItems,
  ConversationApi,
  ConversationChange as ConversationMove,
  ExportedState,
  IdempotencyApi,
  NewConversation as ConversationStart,
  PageRequest,
  ReportedResult,
  ResponseClaim,
  SessionApi,
  SessionsByTenant,
  StoredResponse,
  TokenApi,
  TranscriptMessage,
  TranscriptPage,
  Turn,
  TurnReport,
} from "./src/session/session_api.ts";
export type { SessionLimits } from "./src/session/session_limits.ts";
export type {
  AccountApi,
  AuthPolicy,
  Caller,
  RateKind,
  RateLimitStatus,
} from "./src/access/access_api.ts";
export type { TokenCharge } from "./src/core/token_charge.ts";
