/** Types of the state store. */

import type { Telemetry } from "../../core/telemetry.ts";
import type { BlobCache } from "./blob_cache.ts";
import type { Conversation } from "./conversations.ts";
import type { ModelIdentity } from "./manifest.ts";
import type { RandomBytes } from "./state_id.ts";
import type { StateChange, StateInfo } from "./state_rows.ts";

/** Options of `StateStore`. */
export interface StateStoreOptions {
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /** Milliseconds of a monotonic clock; `performance.now` by default. */
  monotonic?: (() => number) | undefined;
  /** Random bytes for ids; the platform's secure generator by default. */
  random?: RandomBytes | undefined;
  /** Default lifetime of a state in milliseconds. */
  ttl?: number | undefined;
  /** Hash of the worker's vocabulary; `inspect` marks states with another one. */
  vocabularyHash?: string | undefined;
  /** Tenant of the states; other tenants' states are not accessible. */
  tenant?: string | undefined;
  /** Size of the cache in bytes; 0 by default. */
  cacheBytes?: number | undefined;
  /** Replaces `cacheBytes`: a cache that the stores of several tenants share. */
  cache?: BlobCache | undefined;
  /** Maximum number of rows in the prefix index. */
  maxPrefixes?: number | undefined;
  /** Receives events of reads and writes. */
  telemetry?: Telemetry | undefined;
  /** Called for every state that is stored, replaced or deleted. */
  onChange?: ((change: StateChange) => void) | undefined;
}

/** The content of a state. */
export interface StateContent {
  /** `null` is the state before any token. */
  state: Uint8Array | null;
  /** The record of the turn that led to it. */
  turn: Uint8Array;
  /** The transcript before this turn, which is not needed to resume. */
  history?: Uint8Array | null | undefined;
  /** Data that the client may request later; no turn needs it. */
  note?: Uint8Array | null | undefined;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Number of processed tokens, for display. */
  tokens?: number | undefined;
}

/** Pointers to a state besides its id. */
export interface StateNames {
  /** Hash of the transcript. */
  prefix?: string | undefined;
  /** Whether the state, or one before it, was imported; it is not added to the prefix index. */
  imported?: boolean | undefined;
  /** The conversation to move to this state, if it is unchanged. */
  conversation?: Conversation | undefined;
}

/** Facts of a new state. */
export interface NewState {
  /** A new id. */
  id: string;
  /** The model that writes it. */
  model: ModelIdentity;
  /** Lifetime in milliseconds; the store's default if undefined. */
  ttl?: number | undefined;
}

/** A state after it was stored. */
export interface StoredState extends StateInfo {
  /** Whether the conversation moved to the state; true if there is no conversation. */
  moved: boolean;
}

/** A state without its bytes. */
export interface InspectedState {
  /** The manifest. */
  info: StateInfo;
  /** The record of the turn that led to it. */
  turn: Uint8Array;
}

/** A state with its bytes. */
export interface LoadedState extends StateContent {
  /** The manifest. */
  info: StateInfo;
}
