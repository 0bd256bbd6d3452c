/**
 * RWKV-5: the tensors of a checkpoint, the version and sizes that follow from them, the preparation of
 * small tensors for the kernels, and the layer graph. No other file depends on the version.
 *
 * Version 5.2 has a gate and decays per channel, `time_decay [H, N]`. Version 5.1 has a gate and decays
 * per head, `[H]`. Version 5.0 has no gate. Values per head are broadcast over the head's channels, so
 * the three graphs differ only in the gate.
 */

import type { Dimensions, Version } from "../dimensions.ts";
import { type Linear, matrixGroupsOf, type Op } from "../graph.ts";
import {
  type Architecture,
  cannotLoad,
  elementCount,
  type ReadTensor,
  type TensorShapes,
} from "./architecture.ts";

/** The RWKV-5 architecture. */
export const rwkv5: Architecture = {
  generation: "5",
  sizes: {
    "0.1b": publishedSize(12, 768),
    "0.4b": publishedSize(24, 1024),
    "1.5b": publishedSize(24, 2048),
    "3b": publishedSize(32, 2560),
    "7b": publishedSize(32, 4096),
  },
  matches: (shapes) =>
    shapes.has("blocks.0.att.ln_x.weight") &&
    !shapes.has("blocks.0.att.time_maa_x") && !shapes.has("blocks.0.att.x_r"),
  readDimensions,
  tensorShapes,
  tensorNames,
  prepareVectors,
  layerGraph,
  stateLayout: ({ layers, width, headSize }) => ({
    length: layers * width * (headSize + 2),
    shiftSites: 2 * layers,
  }),
  randomWeights,
};

/** Returns the dimensions of a published model of version 5.2. */
function publishedSize(layers: number, width: number): Dimensions {
  const headSize = 64;
  return {
    version: "5.2",
    layers,
    width,
    heads: width / headSize,
    headSize,
    ffnWidth: 3.5 * width,
    vocabulary: 65536,
    groupNormEps: 64e-5,
  };
}

function readDimensions(
  shapes: TensorShapes,
  { file, groupNormEps, layers }: { file: string; groupNormEps: number; layers: number },
): Dimensions {
  const shape = (name: string): readonly number[] => {
    const found = shapes.get(name);
    if (found) return found;
    throw cannotLoad(
      file,
      `it has no tensor "${name}"; it is incomplete or not an RWKV-5 checkpoint`,
    );
  };
  // Vectors are published as [C], [1, 1, C] and similar shapes, so only their length is checked.
  const expect = (name: string, wanted: readonly number[], matrix = false) => {
    const got = shape(name);
    if (elementCount(got) === elementCount(wanted) && (!matrix || `${got}` === `${wanted}`)) return;
    throw cannotLoad(
      file,
      `"${name}" has shape [${got}], but the other tensors require [${wanted}]`,
    );
  };

  const [vocabulary, width] = shape("emb.weight");

  const decay = shape("blocks.0.att.time_decay").filter((n, i) => n !== 1 || i === 0);
  const gated = [...shapes.keys()].some((name) => /\.att\.(gate\.weight|time_mix_g)$/.test(name));
  const heads = decay[0];
  if (!(heads > 0) || width % heads !== 0) {
    throw cannotLoad(
      file,
      `"blocks.0.att.time_decay" has shape [${decay}], which does not divide the width ${width}`,
    );
  }
  const headSize = width / heads;
  if (headSize % 4 !== 0) {
    throw cannotLoad(file, `its head size is ${headSize}; head sizes must be multiples of 4`);
  }
  const perChannel = decay.length === 2;
  if (perChannel && !gated) {
    throw cannotLoad(file, `it has no tensor "blocks.0.att.gate.weight"; the file is incomplete`);
  }
  const version: Version = !gated ? "5.0" : perChannel ? "5.2" : "5.1";

  const ffnWidth = shape("blocks.0.ffn.key.weight")[0];
  const dimensions: Dimensions = {
    version,
    layers,
    width,
    heads,
    headSize,
    ffnWidth,
    vocabulary,
    groupNormEps,
  };
  const matrices = new Set(matrixGroupsOf(layerGraph(dimensions)).flat());
  for (const [name, wanted] of tensorShapes(dimensions)) {
    if (name.endsWith(".att.time_faaaa")) {
      const bonus = bonusName(shapes, Number(name.split(".")[1]));
      if (elementCount(shape(bonus)) !== heads) expect(bonus, [width]);
    } else expect(name, wanted, matrices.has(name));
  }
  return dimensions;
}

/** Returns every tensor of a checkpoint, by published name, with its published shape. */
function tensorShapes(dimensions: Dimensions): Map<string, readonly number[]> {
  const { version, layers, width, heads, headSize, ffnWidth, vocabulary } = dimensions;
  const shapes = new Map<string, readonly number[]>([["emb.weight", [vocabulary, width]]]);
  const vector = (name: string, mix = false) => shapes.set(name, mix ? [1, 1, width] : [width]);
  const norm = (name: string) => ["weight", "bias"].forEach((part) => vector(`${name}.${part}`));
  const perHead = version === "5.2" ? [heads, headSize] : [heads];
  const gate = version === "5.0" ? [] : ["gate"];
  for (let layer = 0; layer < layers; layer++) {
    const [att, ffn] = [`blocks.${layer}.att.`, `blocks.${layer}.ffn.`];
    for (const name of layer === 0 ? ["ln1", "ln2", "ln0"] : ["ln1", "ln2"]) {
      norm(`blocks.${layer}.${name}`);
    }
    for (const m of mixesOf(version)) vector(`${att}time_mix_${m}`, true);
    shapes.set(`${att}time_decay`, perHead).set(`${att}time_faaaa`, perHead);
    for (const name of ["receptance", "key", "value", "output", ...gate]) {
      shapes.set(`${att}${name}.weight`, [width, width]);
    }
    norm(`${att}ln_x`);
    for (const m of ["k", "r"]) vector(`${ffn}time_mix_${m}`, true);
    shapes.set(`${ffn}key.weight`, [ffnWidth, width]);
    shapes.set(`${ffn}receptance.weight`, [width, width]);
    shapes.set(`${ffn}value.weight`, [width, ffnWidth]);
  }
  norm("ln_out");
  return shapes.set("head.weight", [vocabulary, width]);
}

/** Returns the published names of all tensors that the model uses. */
function tensorNames(dimensions: Dimensions, shapes: TensorShapes): Set<string> {
  const names = new Set(tensorShapes(dimensions).keys());
  for (let layer = 0; layer < dimensions.layers; layer++) {
    names.delete(`blocks.${layer}.att.time_faaaa`);
    names.add(bonusName(shapes, layer));
  }
  return names;
}

function mixesOf(version: Version): string[] {
  return version === "5.0" ? ["k", "v", "r"] : ["k", "v", "r", "g"];
}

function bonusName(shapes: TensorShapes, layer: number): string {
  const first = `blocks.${layer}.att.time_first`;
  return shapes.has(first) ? first : `blocks.${layer}.att.time_faaaa`;
}

/**
 * Prepares the small tensors for the kernels, by the names that the graph uses: norms `[2, C]` (weight,
 * bias), mixes `[mixes, C]`, decay and bonus `[H, N]`.
 */
async function prepareVectors(
  dimensions: Dimensions,
  shapes: TensorShapes,
  read: ReadTensor,
): Promise<Map<string, Float32Array>> {
  const { layers, width, headSize, version } = dimensions;
  const vectors = new Map<string, Float32Array>();
  const join = async (name: string, parts: string[]) => {
    const joined = new Float32Array(parts.length * width);
    for (const [i, part] of parts.entries()) joined.set(await read(part), i * width);
    vectors.set(name, joined);
  };
  const norm = (name: string) => join(name, [`${name}.weight`, `${name}.bias`]);
  const broadcast = (values: Float32Array) =>
    values.length === width
      ? values
      : Float32Array.from({ length: width }, (_, c) => values[Math.floor(c / headSize)]);

  await norm("blocks.0.ln0");
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    for (const name of ["ln1", "ln2", "att.ln_x"]) await norm(block + name);
    await join(`${block}att.time_mix`, mixesOf(version).map((m) => `${block}att.time_mix_${m}`));
    await join(`${block}ffn.time_mix`, ["k", "r"].map((m) => `${block}ffn.time_mix_${m}`));
    const decay = await read(`${block}att.time_decay`);
    vectors.set(`${block}att.decay`, broadcast(decay.map((d) => Math.exp(-Math.exp(d)))));
    const name = bonusName(shapes, layer);
    const bonus = await read(name);
    // Some 5.2 files call `time_faaaa` `time_first`; the shape distinguishes the two.
    const logarithmic = name.endsWith("time_first") && bonus.length !== width;
    vectors.set(`${block}att.bonus`, broadcast(logarithmic ? bonus.map(Math.exp) : bonus));
  }
  await norm("ln_out");
  return vectors;
}

/** Returns the layer graph. It runs for all tokens up to `ln_out`, and from there for the selected ones. */
function layerGraph({ version, layers }: Dimensions): Op[] {
  const gated = version !== "5.0";
  const ops: Op[] = [{ op: "embed", table: "emb.weight", norm: "blocks.0.ln0" }];
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    const project = (matrix: string, plane: number, to: "r" | "k" | "v" | "g"): Linear => ({
      weight: `${block}att.${matrix}.weight`,
      from: "mixed",
      plane,
      to,
      activation: to === "g" ? "silu" : "none",
      write: "store",
    });
    ops.push(
      {
        op: "normShift",
        norm: `${block}ln1`,
        mix: `${block}att.time_mix`,
        mixes: gated ? 4 : 3,
        site: 2 * layer,
      },
      {
        op: "linears",
        linears: [
          project("key", 0, "k"),
          project("value", 1, "v"),
          project("receptance", 2, "r"),
          ...(gated ? [project("gate", 3, "g")] : []),
        ],
      },
      {
        op: "wkv5",
        layer,
        decay: `${block}att.decay`,
        bonus: `${block}att.bonus`,
        norm: `${block}att.ln_x`,
        gated,
      },
      {
        op: "linears",
        linears: [{
          weight: `${block}att.output.weight`,
          from: "y",
          plane: 0,
          to: "x",
          activation: "none",
          write: "add",
        }],
      },
      {
        op: "normShift",
        norm: `${block}ln2`,
        mix: `${block}ffn.time_mix`,
        mixes: 2,
        site: 2 * layer + 1,
      },
      {
        op: "linears",
        linears: [{
          weight: `${block}ffn.key.weight`,
          from: "mixed",
          plane: 0,
          to: "hidden",
          activation: "relu2",
          write: "store",
        }, {
          weight: `${block}ffn.receptance.weight`,
          from: "mixed",
          plane: 1,
          to: "receptance",
          activation: "sigmoid",
          write: "store",
        }],
      },
      {
        op: "linears",
        linears: [{
          weight: `${block}ffn.value.weight`,
          from: "hidden",
          plane: 0,
          to: "x",
          activation: "none",
          write: "gatedAdd",
          gate: "receptance",
        }],
      },
    );
  }
  ops.push(
    { op: "selectNorm", norm: "ln_out" },
    {
      op: "linears",
      linears: [{
        weight: "head.weight",
        from: "selected",
        plane: 0,
        to: "logits",
        activation: "none",
        write: "store",
      }],
    },
  );
  return ops;
}

function randomWeights(name: string, shape: readonly number[]): (z: number) => number {
  const spread = (middle: number, deviation: number) => (z: number) => middle + deviation * z;
  if (name.endsWith(".bias")) return spread(0, 0.02);
  if (/\.ln\w+\.weight$|^ln_out\.weight$/.test(name)) return spread(1, 0.05);
  if (name.includes(".time_mix_")) return (z) => Math.min(1, Math.max(0, 0.5 + 0.25 * z));
  if (name.endsWith(".time_decay")) return spread(-3, 1);
  if (name.endsWith(".time_faaaa")) return spread(0, 0.3);
  return spread(0, 1 / Math.sqrt(shape[1]));
}
