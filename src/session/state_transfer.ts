/** Exports states as files and imports untrusted files. */

import { InferenceError } from "../core/errors.ts";
import { bytesOf, hasOtherVocabulary } from "../store/states/manifest.ts";
import {
  decodeState,
  readStateHeader,
  stateNumbers,
  type StateShape,
} from "../store/states/state_codec.ts";
import {
  decodeStateFile,
  encodeStateFile,
  FILE_LIMITS,
  OVERHEAD_BYTES,
  type StateFileFacts,
} from "../store/states/state_file.ts";
import type { StateContent, StateStore } from "../store/states/state_store.ts";
import { canonicalMessage } from "../prompt/chat_template.ts";
import { checkHistory, checkSnapshot } from "./check_snapshot.ts";
import { appendEntries, encodeSnapshot } from "./stored_turn.ts";
import type { ExportedState } from "./session_api.ts";
import type { ReserveMemory, SessionModel, TurnAccount } from "./session_types.ts";

/** The file name shows only a part of the state's id, because the whole id permits resuming it. */
const SHOWN_ID_LENGTH = "state_".length + 12;

/** Maximum size of an encoded state in addition to its numbers. */
const STATE_OVERHEAD = 1024;

/** Upper bound of token ids if the model is unknown. */
const MAX_VOCABULARY = 2 ** 31;

export interface ImportStateOptions {
  store: StateStore;
  /** `null` if the model is unknown. Then only the consistency of the file is checked. */
  model: SessionModel | null;
  /** The account whose limits apply. */
  account?: TurnAccount | undefined;
}

/**
 * Exports a stored state of any model as a file.
 *
 * @throws InferenceError from `StateStore.load` or `reserve`
 */
export async function exportState(
  store: StateStore,
  id: string,
  reserve?: ReserveMemory,
): Promise<ExportedState> {
  const stored = reserve ? bytesOf((await store.inspect(id)).info) : 0;
  reserve?.(stored);
  const { info, turn, history = null, state, open } = await store.load(id);
  const { model, created } = info;
  const parts = await encodeStateFile({ model, created, open, turn, history, state });
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  // The file may be larger than the stored bytes, because the store may compress numbers.
  reserve?.(Math.max(0, bytes - stored));
  return { name: `${id.slice(0, SHOWN_ID_LENGTH)}.rwkvstate`, bytes, parts };
}

/** Returns the maximum size of a state file for a model in bytes. */
export function importLimit(model: SessionModel): number {
  return OVERHEAD_BYTES + FILE_LIMITS.turnBytes + FILE_LIMITS.historyBytes + stateLimit(model);
}

/**
 * Validates an untrusted file and stores its state. Returns the new id.
 *
 * @throws InferenceError `model_mismatch`; `payload_too_large`; `invalid_state_file`, with the
 * invalid field if there is one; `storage_limit_exceeded`; or `store_unavailable`. Errors of
 * `chunks` propagate.
 */
export async function importState(
  chunks: AsyncIterable<Uint8Array>,
  { store, model, account }: ImportStateOptions,
): Promise<string> {
  // An account without free storage is rejected before its file is read.
  (await account?.reserveStorage(1, 0))?.();
  const file = await decodeStateFile(chunks, {
    accept: (facts) => model && assertFits(facts, model),
  });
  const { turn, history, state, open, created } = file;
  const record = checkSnapshot(turn, {
    vocabulary: model?.vocabulary ?? MAX_VOCABULARY,
    open,
    isInitialState: state === null,
  });
  const before = await checkHistory(history, record.earlier?.count ?? 0);
  if (state !== null) checkNumbers(state, model);
  const id = store.newId();
  // The hash in the file is not trusted. It must equal the computed one.
  const messages = [...before, ...record.transcript].map(canonicalMessage);
  const hashes = await store.prefixes.prefixHashes({ model: file.model.fingerprint }, messages);
  const known = !record.rawText &&
    (record.earlier === null || record.earlier.hash === hashes[before.length - 1]);
  const earlier = record.earlier &&
    (known ? record.earlier : { ...record.earlier, hash: "unknown" });
  const content: StateContent = {
    state,
    turn: encodeSnapshot({ ...record, earlier }),
    history: await appendEntries(null, before),
    open,
    tokens: record.processedTokens,
  };
  const parts = [content.state, content.turn, content.history];
  const bytes = parts.reduce((sum, part) => sum + (part?.length ?? 0), 0);
  const release = await account?.reserveStorage(1, bytes);
  try {
    await store.save(content, {
      id,
      model: model === null ? file.model : { ...file.model, id: model.id },
      parent: null,
      created,
      // The author of the file may have invented the transcript, so prefix caching must not use it.
      imported: true,
    });
  } finally {
    release?.();
  }
  return id;
}

function assertFits({ model: fileModel, stateBytes }: StateFileFacts, model: SessionModel): void {
  if (fileModel.fingerprint !== model.fingerprint) {
    throw new InferenceError(
      "model_mismatch",
      `Cannot use a state file: it belongs to model ${JSON.stringify(fileModel.id)} ` +
        `(${fileModel.fingerprint}), this worker runs ${
          JSON.stringify(model.id)
        } (${model.fingerprint})`,
      { param: "header.model.fingerprint" },
    );
  }
  if (hasOtherVocabulary(fileModel, model.vocabularyHash)) {
    throw new InferenceError(
      "model_mismatch",
      `Cannot use a state file: its vocabulary is ${fileModel.vocabularyHash}, this worker uses ` +
        `${model.vocabularyHash}; start the worker with the other vocabulary (--vocab)`,
      { param: "header.model.vocabularyHash" },
    );
  }
  const maxBytes = stateLimit(model);
  if (stateBytes === null || stateBytes <= maxBytes) return;
  throw invalid(
    "header.state.bytes",
    `the state has ${stateBytes} bytes, the maximum of this model is ${maxBytes}`,
  );
}

function stateLimit({ shape }: SessionModel): number {
  return stateNumbers(shape) * 4 + STATE_OVERHEAD;
}

function checkNumbers(bytes: Uint8Array, model: SessionModel | null): void {
  const numbers = decoded(bytes);
  if (model !== null) assertShape(bytes, model.shape);
  for (let i = 0; i < numbers.length; i++) {
    if (!Number.isFinite(numbers[i])) {
      throw invalid("state", `the state's number ${i} is ${numbers[i]}, and must be finite`);
    }
  }
}

/** States of format version 1 contain their length but not their shape. */
function assertShape(bytes: Uint8Array, shape: StateShape): void {
  const { shape: fileShape, numbers } = readStateHeader(bytes);
  const text = ({ layers, width, headSize }: StateShape) => `${layers} x ${width} x ${headSize}`;
  if (numbers === stateNumbers(shape) && (fileShape === null || text(fileShape) === text(shape))) {
    return;
  }
  throw invalid(
    "state",
    `the state has ${numbers} numbers${
      fileShape ? ` of shape ${text(fileShape)}` : ""
    }, states of this model ` +
      `have ${stateNumbers(shape)} of shape ${text(shape)}`,
  );
}

function decoded(bytes: Uint8Array): Float32Array {
  try {
    return decodeState(bytes);
  } catch (cause) {
    if (!(cause instanceof InferenceError)) throw cause;
    throw invalid("state", cause.message, cause);
  }
}

function invalid(param: string, what: string, cause?: unknown): InferenceError {
  return new InferenceError("invalid_state_file", `Cannot use a state file: ${what}`, {
    param,
    cause,
  });
}
