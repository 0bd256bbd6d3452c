/**
 * Manifests: the row that makes a state exist. It references the blobs with the state's bytes and its
 * turn, and is written last, in one atomic write with the refs of the blobs.
 */

import { type BlobReference, isBlobReference } from "./blobs.ts";
import { damagedRow, decodeRow, isFields, isStringOrNull, isTime } from "../row_json.ts";

/** The model of a state. Fingerprint and vocabulary decide; the other fields are informative. */
export interface ModelIdentity {
  /** Name of the model. */
  id: string;
  /** Fingerprint of the weights, independent of their quantization. */
  fingerprint: string;
  /**
   * Hash of the vocabulary that tokenized the text, which the weights do not determine. Older
   * manifests lack it and match any vocabulary.
   */
  vocabularyHash?: string;
  /** Quantization of the worker that wrote the state; missing in older manifests. */
  quant?: string;
}

/** The facts of a state and the references to its bytes. */
export interface Manifest {
  /** Format version. */
  version: 1;
  /** The model that wrote it. */
  model: ModelIdentity;
  /** Epoch milliseconds. */
  created: number;
  /** Epoch milliseconds; never later than the expiry of a blob. */
  expires: number;
  /** Lifetime after the last use in milliseconds; missing in older manifests. */
  ttl?: number;
  /** Hash of the transcript, if the prefix index contains it. */
  prefix?: string;
  /** Whether the state, or one before it, was imported: the transcript is unverified. */
  imported?: boolean;
  /** The state that this one was resumed from. */
  parent: string | null;
  /** Whether the reply is unfinished. */
  open: boolean;
  /** Number of processed tokens, for display; missing in older manifests. */
  tokens?: number;
  /** Bytes of the model's state; `null` is the state before any token. */
  state: BlobReference | null;
  /** The session's record that is needed to resume. */
  turn: BlobReference;
  /** The earlier transcript, which is not needed to resume; absent if empty. */
  history?: BlobReference;
  /** Data that the client may request later; absent if empty. */
  note?: BlobReference;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/** @throws InferenceError `state_damaged` */
export function decodeManifest(bytes: Uint8Array, id: string): Manifest {
  const options = { kind: `state "${id}"`, row: "its manifest", param: "state_id" };
  const manifest = decodeRow(bytes, options);
  if (!isManifest(manifest)) throw damagedRow("its manifest lacks fields", options);
  return manifest;
}

/** Returns only the fields that a manifest stores. */
export function identityOf(
  { id, fingerprint, vocabularyHash, quant }: ModelIdentity,
): ModelIdentity {
  return {
    id,
    fingerprint,
    ...(vocabularyHash === undefined ? {} : { vocabularyHash }),
    ...(quant === undefined ? {} : { quant }),
  };
}

/** Returns whether the vocabulary of a model is known to differ from one with this hash. */
export function hasOtherVocabulary({ vocabularyHash }: ModelIdentity, hash?: string): boolean {
  return vocabularyHash !== undefined && hash !== undefined && vocabularyHash !== hash;
}

/** Returns the blobs that a manifest references. */
export function blobsOf({ state, turn, history, note }: Manifest): BlobReference[] {
  return [state ?? [], turn, history ?? [], note ?? []].flat();
}

/** Returns the total bytes of the blobs. */
export function bytesOf(manifest: Manifest): number {
  return blobsOf(manifest).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Returns the bytes of the blobs with the text of the conversation. */
export function textBytesOf({ turn, history }: Manifest): number {
  return turn.bytes + (history?.bytes ?? 0);
}

function isManifest(value: Record<string, unknown>): value is Record<string, unknown> & Manifest {
  const { model, created, expires, open, parent, state, turn } = value;
  return isTime(created) && isTime(expires) && typeof open === "boolean" && isModel(model) &&
    isMissingOr(value.ttl, isTime) && isMissingOr(value.tokens, isCount) &&
    isMissingOr(value.prefix, isString) &&
    isMissingOr(value.imported, (imported) => imported === true) && isStringOrNull(parent) &&
    (state === null || isBlobReference(state)) && isBlobReference(turn) &&
    isMissingOr(value.history, isBlobReference) && isMissingOr(value.note, isBlobReference);
}

function isModel(value: unknown): boolean {
  return isFields(value) && isString(value.id) && isString(value.fingerprint) &&
    isMissingOr(value.vocabularyHash, isString) && isMissingOr(value.quant, isString);
}

function isMissingOr(value: unknown, is: (value: unknown) => boolean): boolean {
  return value === undefined || is(value);
}

function isString(value: unknown): boolean {
  return typeof value === "string";
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && value as number >= 0;
}
