/** Measures encoding speed, decoding speed and size of states of published model sizes. */

import { type Spread, summarize } from "../src/benchmark/cases.ts";
import {
  decodeState,
  encodeState,
  STATE_CODECS,
  type StateCodec,
  type StateShape,
} from "../src/store/states/state_codec.ts";
import { seeded } from "../tests/support/random_data.ts";

const SHAPES: Readonly<Record<string, StateShape>> = {
  "0.4b": { layers: 24, width: 1024, headSize: 64 },
  "1.5b": { layers: 24, width: 2048, headSize: 64 },
  "3b": { layers: 32, width: 2560, headSize: 64 },
};

export interface Speed {
  shape: string;
  codec: StateCodec;
  bytes: number;
  /** MB of float32 numbers per second. */
  encode_mb_s: Spread;
  decode_mb_s: Spread;
}

export function stateSpeeds(rounds: number): Speed[] {
  return Object.entries(SHAPES).flatMap(([name, shape]) => {
    const state = randomState(shape);
    const cases = STATE_CODECS.map((codec) => ({
      codec,
      encode: [] as number[],
      decode: [] as number[],
      bytes: 0,
    }));
    for (let round = -1; round < rounds; round++) {
      for (const sample of cases) {
        const { codec } = sample;
        const start = performance.now();
        const bytes = encodeState(state, { codec, shape });
        const middle = performance.now();
        decodeState(bytes);
        const end = performance.now();
        sample.bytes = bytes.length;
        // The first round is the warm-up.
        if (round < 0) continue;
        sample.encode.push(state.byteLength / 1000 / (middle - start));
        sample.decode.push(state.byteLength / 1000 / (end - middle));
      }
    }
    return cases.map(({ codec, encode, decode, bytes }): Speed => ({
      shape: name,
      codec,
      bytes,
      encode_mb_s: summarize(encode),
      decode_mb_s: summarize(decode),
    }));
  });
}

/** Returns a state whose rows have magnitudes from 2^-8 to 2^4. */
function randomState({ layers, width, headSize }: StateShape): Float32Array {
  const random = seeded(1);
  const state = new Float32Array(layers * width * (headSize + 2));
  for (let at = 0; at < state.length; at += headSize) {
    const size = 2 ** (12 * random() - 8);
    const end = Math.min(at + headSize, state.length);
    for (let i = at; i < end; i++) state[i] = (2 * random() - 1) * size;
  }
  return state;
}
