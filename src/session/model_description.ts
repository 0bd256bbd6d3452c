/** What can be told of the model that a worker runs, beside its name. */

import { stateBytes, type StateCodec, stateNumbers } from "../store/states/state_codec.ts";
import type { SessionModel } from "./session_types.ts";

export interface ModelDescription {
  layers: number;
  width: number;
  headSize: number;
  /** Rows of the head. */
  vocabulary: number;
  /** How states of finished turns are stored. */
  codec: StateCodec;
  /** Of such a state, its header included. */
  storedBytes: number;
  /** Of the state's numbers alone, as the engine holds them. */
  float32Bytes: number;
}

export function describeModel({ shape, vocabulary, codec }: SessionModel): ModelDescription {
  const { layers, width, headSize } = shape;
  return {
    layers,
    width,
    headSize,
    vocabulary,
    codec,
    storedBytes: stateBytes(codec, shape),
    float32Bytes: 4 * stateNumbers(shape),
  };
}
