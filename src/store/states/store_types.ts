/** What a state store takes and gives. */

import type { Telemetry } from "../../core/telemetry.ts";
import type { BlobCache } from "./blob_cache.ts";
import type { Conversation } from "./conversations.ts";
import type { ModelIdentity } from "./manifest.ts";
import type { RandomBytes } from "./state_id.ts";
import type { StateChange, StateInfo } from "./state_rows.ts";

/** How states are kept. */
export interface StateStoreOptions {
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /** Milliseconds that only ever grow, from any beginning; `performance.now` unless told. */
  monotonic?: (() => number) | undefined;
  /** Where ids come from; the platform's secure numbers unless told. */
  random?: RandomBytes | undefined;
  /** Milliseconds that a state lasts where nothing else is said. */
  ttl?: number | undefined;
  /** Hash of the vocabulary that is used here: `inspect` shows others in a state's fingerprint. */
  vocabularyHash?: string | undefined;
  /** Whose states these are: those of others are never seen. */
  tenant?: string | undefined;
  /** Bytes of states that are held in memory as well; none unless told. */
  cacheBytes?: number | undefined;
  /** In place of `cacheBytes`: a cache that several tenants' stores share. */
  cache?: BlobCache | undefined;
  /** Transcripts that lead to their states at most. */
  maxPrefixes?: number | undefined;
  /** Told what is read and written. */
  telemetry?: Telemetry | undefined;
  /** Told of every state that is stored, replaced or removed here. */
  onChange?: ((change: StateChange) => void) | undefined;
}

/** What a state consists of. */
export interface StateContent {
  /** `null` is the state before any token. */
  state: Uint8Array | null;
  /** The record of the turn that led to it. */
  turn: Uint8Array;
  /** What came before that and is not needed to carry on. */
  history?: Uint8Array | null | undefined;
  /** What its client may ask for again; no turn needs it. */
  note?: Uint8Array | null | undefined;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Tokens that the state has absorbed, to be listed. */
  tokens?: number | undefined;
}

/** What a state is known by besides its id, from the moment it is stored. */
export interface StateNames {
  /** Hash of its transcript. */
  prefix?: string | undefined;
  /** Whether it, or what it goes on from, came from a file; then its transcript does not lead to it. */
  imported?: boolean | undefined;
  /** The conversation that goes on with it, if it is still where it was when it was read. */
  conversation?: Conversation | undefined;
}

/** What a state is to be. */
export interface NewState {
  /** A fresh one. */
  id: string;
  /** The model that writes it. */
  model: ModelIdentity;
  /** Milliseconds that it lasts; the store's own unless told. */
  ttl?: number | undefined;
}

/** A state as it was stored. */
export interface StoredState extends StateInfo {
  /** Whether the conversation has moved on to it; true where there is none. */
  moved: boolean;
}

/** A state but for its bytes. */
export interface InspectedState {
  /** Its facts. */
  info: StateInfo;
  /** The record of the turn that led to it. */
  turn: Uint8Array;
}

/** A state with its bytes. */
export interface LoadedState extends StateContent {
  /** Its facts. */
  info: StateInfo;
}
