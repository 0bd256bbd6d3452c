/** Random checkpoints of any size and version, with the tensor names and dtypes of files. */

import type { PthDtype, PthTensor } from "../formats/pth_fixture.ts";
import { floats, seeded } from "../support/random_data.ts";

export interface TinySizes {
  version: "5.0" | "5.1" | "5.2";
  layers: number;
  heads: number;
  headSize: number;
  ffnWidth: number;
  vocabulary: number;
  dtype: PthDtype;
}

/** Sizes that are not multiples of the kernels' block sizes. */
export const ODD_SIZES: TinySizes = {
  version: "5.2",
  layers: 2,
  heads: 5,
  headSize: 8,
  ffnWidth: 137,
  vocabulary: 101,
  dtype: "F32",
};

/** Returns tensors by published name, with values rounded to the dtype. */
export function tinyModel(sizes: TinySizes, seed = 1): Map<string, PthTensor> {
  const { version, layers, heads, headSize, ffnWidth, vocabulary, dtype } = sizes;
  const random = seeded(seed);
  const width = heads * headSize;
  const tensors = new Map<string, PthTensor>();
  const add = (name: string, shape: readonly number[], low: number, high: number) => {
    const data = floats(random, shape.reduce((a, b) => a * b, 1), { low, high });
    data.forEach((v, i) => data[i] = rounded(v, dtype));
    tensors.set(name, { dtype, shape, data });
  };
  const matrix = (name: string, rows: number, columns: number) => {
    const scale = 1.5 / Math.sqrt(columns);
    add(`${name}.weight`, [rows, columns], -scale, scale);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, [width], 0.5, 1.5);
    add(`${name}.bias`, [width], -0.5, 0.5);
  };
  add("emb.weight", [vocabulary, width], -1, 1);
  norm("blocks.0.ln0");
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    norm(`${block}ln1`);
    norm(`${block}ln2`);
    const mixes = version === "5.0" ? "kvr" : "kvrg";
    for (const m of mixes) add(`${block}att.time_mix_${m}`, [1, 1, width], 0, 1);
    const perHead = version === "5.2" ? [heads, headSize] : [heads];
    add(`${block}att.time_decay`, perHead, -3, 0.5);
    if (version === "5.2") add(`${block}att.time_faaaa`, perHead, -1, 1);
    else add(`${block}att.time_first`, perHead, -2, 0.5);
    for (const m of ["receptance", "key", "value", "output"]) {
      matrix(`${block}att.${m}`, width, width);
    }
    if (version !== "5.0") matrix(`${block}att.gate`, width, width);
    norm(`${block}att.ln_x`);
    for (const m of "kr") add(`${block}ffn.time_mix_${m}`, [1, 1, width], 0, 1);
    matrix(`${block}ffn.key`, ffnWidth, width);
    matrix(`${block}ffn.receptance`, width, width);
    matrix(`${block}ffn.value`, width, ffnWidth);
  }
  norm("ln_out");
  matrix("head", vocabulary, width);
  return tensors;
}

function rounded(value: number, dtype: PthDtype): number {
  if (dtype === "F32") return Math.fround(value);
  if (dtype === "F16") return Math.f16round(value);
  // Truncation suffices for bfloat16: any representable value will do.
  const words = new Uint32Array(new Float32Array([value]).buffer);
  words[0] &= 0xffff0000;
  return new Float32Array(words.buffer)[0];
}

/** Returns the same tensors with the names of the Hugging Face port. */
export function huggingFaceNames<T>(tensors: ReadonlyMap<string, T>): Map<string, T> {
  const long: Record<string, string> = { k: "key", v: "value", r: "receptance", g: "gate" };
  return new Map([...tensors].map(([name, tensor]) => [
    name === "head.weight" ? name : `rwkv.${name}`
      .replace("emb.weight", "embeddings.weight")
      .replace(".ln0.", ".pre_ln.")
      .replace(".att.", ".attention.")
      .replace(".ffn.", ".feed_forward.")
      .replace(/time_mix_([kvrg])$/, (_, m: string) => `time_mix_${long[m]}`),
    tensor,
  ]));
}
