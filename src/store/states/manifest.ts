/**
 * Manifests: the one row that makes a state exist. It names the blobs that hold the state's bytes
 * and its turn, and is written last, in one atomic with the rows that say who uses which blob.
 */

import { type BlobReference, isBlobReference } from "./blobs.ts";
import { damagedRow, decodeRow, isFields, isStringOrNull, isTime } from "../row_json.ts";

/** Which model a state belongs to. Fingerprint and vocabulary decide, the rest is for people. */
export interface ModelIdentity {
  /** Its name. */
  id: string;
  /** Of its weights; the same however they are held. */
  fingerprint: string;
  /**
   * Hash of the vocabulary that text was tokenized with: the model's weights do not tell. Older
   * manifests do not have it, and belong to any vocabulary.
   */
  vocabularyHash?: string;
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
  /** Whether it came from a file, or goes on from one that did: its transcript is its author's word. */
  imported?: boolean;
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
  const options = { kind: `state "${id}"`, row: "its manifest", param: "state_id" };
  const manifest = decodeRow(bytes, options);
  if (!isManifest(manifest)) throw damagedRow("its manifest lacks fields", options);
  return manifest;
}

/** Nothing but what a manifest holds. */
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

/** Whether a model's vocabulary differs from one of this hash, as far as both are known. */
export function hasOtherVocabulary({ vocabularyHash }: ModelIdentity, hash?: string): boolean {
  return vocabularyHash !== undefined && hash !== undefined && vocabularyHash !== hash;
}

/** The blobs that a manifest keeps alive. */
export function blobsOf({ state, turn, history, note }: Manifest): BlobReference[] {
  return [state ?? [], turn, history ?? [], note ?? []].flat();
}

/** Bytes that these have. */
export function bytesOf(manifest: Manifest): number {
  return blobsOf(manifest).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Bytes of those in which a conversation's text is. */
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
