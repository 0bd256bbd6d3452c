/**
 * Manifests: the one row that makes a state exist. It names the blobs that hold the state's bytes
 * and its turn, and is written last, in one atomic with the rows that say who uses which blob.
 */

import { InferenceError } from "../core/errors.ts";
import type { BlobReference } from "./blobs.ts";

/** Which model a state belongs to. The fingerprint decides, the rest is for people. */
export interface ModelIdentity {
  /** Its name. */
  id: string;
  /** Of its weights; the same however they are held. */
  fingerprint: string;
  /** How the worker that wrote the state held the model's weights; older manifests do not tell. */
  quant?: string;
}

/** What makes a state exist: its facts, and where its bytes are. */
export interface Manifest {
  /** Of the format. */
  version: 1;
  /** The model that wrote it. */
  model: ModelIdentity;
  /** Epoch milliseconds. */
  created: number;
  /** Epoch milliseconds; never later than either blob's. */
  expires: number;
  /** Milliseconds that it is to last from its last use; older manifests do not tell. */
  ttl?: number;
  /** Hash of its transcript, where that leads to it. */
  prefix?: string;
  /** The state that this one was resumed from. */
  parent: string | null;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Tokens that the state has absorbed, for people; older manifests do not tell. */
  tokens?: number;
  /** Bytes of the model's state; `null` is the state before any token. */
  state: BlobReference | null;
  /** What the session needs to carry on, in its own encoding. */
  turn: BlobReference;
  /** What it only needs to tell what has been; absent where there is nothing. */
  history?: BlobReference;
  /** What its client may ask for again, in the session's encoding; absent where there is nothing. */
  note?: BlobReference;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/** @throws InferenceError `state_damaged` */
export function decodeManifest(bytes: Uint8Array, id: string): Manifest {
  let manifest: unknown;
  try {
    manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged(id, "its manifest is not JSON", cause);
  }
  if (typeof manifest === "object" && manifest !== null && "version" in manifest) {
    const { version } = manifest;
    if (version !== 1) {
      const remedy = "a worker like the one that wrote it resumes it";
      const what = `its manifest has version ${String(version)}, this worker reads 1`;
      throw damaged(id, `${what}; ${remedy}`);
    }
  }
  if (!isManifest(manifest)) throw damaged(id, "its manifest lacks fields");
  return manifest;
}

/** Nothing but what a manifest holds. */
export function identityOf({ id, fingerprint, quant }: ModelIdentity): ModelIdentity {
  return { id, fingerprint, ...(quant === undefined ? {} : { quant }) };
}

/** The blobs that a manifest keeps alive. */
export function blobsOf({ state, turn, history, note }: Manifest): BlobReference[] {
  return [state ?? [], turn, history ?? [], note ?? []].flat();
}

function isManifest(value: unknown): value is Manifest {
  return hasTypes(value, { created: "number", expires: "number", open: "boolean" }) &&
    hasTypes(value.model, { id: "string", fingerprint: "string" }) &&
    ["string", "undefined"].includes(typeof value.model.quant) &&
    ["number", "undefined"].includes(typeof value.ttl) &&
    ["number", "undefined"].includes(typeof value.tokens) &&
    ["string", "undefined"].includes(typeof value.prefix) &&
    (value.parent === null || typeof value.parent === "string") &&
    (value.state === null || isReference(value.state)) && isReference(value.turn) &&
    (value.history === undefined || isReference(value.history)) &&
    (value.note === undefined || isReference(value.note));
}

function isReference(value: unknown): boolean {
  if (!hasTypes(value, { id: "string", bytes: "number", sha256: "string", expires: "number" })) {
    return false;
  }
  const { chunk } = value;
  return chunk === undefined || Number.isSafeInteger(chunk) && Number(chunk) > 0;
}

function hasTypes(
  value: unknown,
  types: Record<string, "string" | "number" | "boolean">,
): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const record = value as Record<string, unknown>;
  return Object.entries(types).every(([name, type]) => {
    const actual = typeof record[name];
    return actual === type;
  });
}

function damaged(id: string, what: string, cause?: unknown): InferenceError {
  return new InferenceError("state_damaged", `Cannot read state "${id}": ${what}`, {
    param: "state_id",
    cause,
  });
}
