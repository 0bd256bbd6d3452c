/**
 * What is stored of a state. A finished turn's is held as the worker's codec has it, and the worker
 * itself goes on from that, so that a conversation is the same wherever it goes on. An unfinished
 * one's is held to the bit: what follows is to join what was written.
 */

import { decodeState, encodeState, readStateHeader } from "../store/states/state_codec.ts";
import type { SessionModel } from "./session_types.ts";

export interface StoredEncoding {
  bytes: Uint8Array;
  /** What the bytes stand for, where that is another state. */
  roundedState: Float32Array | undefined;
}

export function encodeForStorage(
  state: Float32Array,
  { open, model: { codec, shape } }: { open: boolean; model: SessionModel },
): StoredEncoding {
  const bytes = encodeState(state, { codec: open ? "f32" : codec, shape });
  const exact = readStateHeader(bytes).codec === "f32";
  return { bytes, roundedState: exact ? undefined : decodeState(bytes) };
}
