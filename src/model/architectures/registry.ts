/** The supported generations of RWKV, and functions that work for all of them. */

import type { Dimensions } from "../dimensions.ts";
import { matrixGroupsOf, type Op } from "../graph.ts";
import { type Architecture, cannotLoad, elementCount, type TensorShapes } from "./architecture.ts";
import { rwkv5 } from "./rwkv5.ts";

/** All generations, in the order in which a checkpoint is matched. */
export const ARCHITECTURES: readonly Architecture[] = [rwkv5];

/** A size of a published model, such as `0.4b`. */
export type ModelSize = string;

/** All published sizes, by generation and then from small to large. */
export const MODEL_SIZES: readonly ModelSize[] = ARCHITECTURES.flatMap(({ sizes }) =>
  Object.keys(sizes)
);

/** Returns the dimensions of a published model. */
export function dimensionsOf(size: ModelSize): Dimensions {
  const dimensions = ARCHITECTURES.map(({ sizes }) => sizes[size]).find(Boolean);
  if (!dimensions) {
    throw new Error(`Cannot get dimensions: no published model has the size ${size}`);
  }
  return dimensions;
}

/** Returns the architecture of a model. */
export function architectureOf({ version }: Pick<Dimensions, "version">): Architecture {
  const [generation] = version.split(".");
  const found = ARCHITECTURES.find((architecture) => architecture.generation === generation);
  if (!found) throw new Error(`Cannot run version ${version}: no architecture supports it`);
  return found;
}

/**
 * Reads version and sizes of a checkpoint from the shapes of its tensors.
 *
 * @throws InferenceError `invalid_checkpoint` if a tensor is missing or the version is not supported.
 */
export function readDimensions(
  shapes: TensorShapes,
  { file, groupNormEps }: { file: string; groupNormEps: number },
): Dimensions {
  const embedding = shapes.get("emb.weight");
  if (!embedding) {
    throw cannotLoad(
      file,
      'it has no tensor "emb.weight"; it is incomplete or not an RWKV checkpoint',
    );
  }
  if (embedding.length !== 2 || elementCount(embedding) === 0) {
    throw cannotLoad(file, `"emb.weight" has shape [${embedding}] instead of [vocabulary, width]`);
  }
  const layers = countLayers(shapes);
  if (layers === 0) {
    throw cannotLoad(file, `it has no tensor "blocks.0.ln1.weight", and therefore no layers`);
  }
  const architecture = ARCHITECTURES.find((candidate) => candidate.matches(shapes));
  if (!architecture) throw cannotLoad(file, unsupported(shapes));
  return architecture.readDimensions(shapes, { file, groupNormEps, layers });
}

function unsupported(shapes: TensorShapes): string {
  if (shapes.has("blocks.0.att.time_maa_x") || shapes.has("blocks.0.att.x_r")) {
    return "it is an RWKV-6 or RWKV-7 checkpoint; only RWKV-5 is supported";
  }
  return `it has no "blocks.0.att.ln_x.weight"; RWKV-4 and older are not supported`;
}

/** Returns one more than the largest layer that any tensor names. */
function countLayers(shapes: TensorShapes): number {
  let layers = 0;
  for (const name of shapes.keys()) {
    const index = name.match(/^blocks\.(\d{1,4})\./)?.[1];
    if (index !== undefined) layers = Math.max(layers, Number(index) + 1);
  }
  return layers;
}

/** Returns the operations of a step, in order. */
export function layerGraph(dimensions: Dimensions): Op[] {
  return architectureOf(dimensions).layerGraph(dimensions);
}

/** Returns the number of float32 numbers in one state. */
export function stateLength(dimensions: Dimensions): number {
  return architectureOf(dimensions).stateLayout(dimensions).length;
}

/** Returns the number of token shifts in a state. */
export function shiftSites(dimensions: Dimensions): number {
  return architectureOf(dimensions).stateLayout(dimensions).shiftSites;
}

/** Returns the published names of all matrices, in the order in which the graph uses them. */
export function matrixNames(dimensions: Dimensions): string[] {
  return matrixGroups(dimensions).flat();
}

/** Returns the names of the matrices, grouped by the operations that multiply them together. */
export function matrixGroups(dimensions: Dimensions): string[][] {
  return matrixGroupsOf(layerGraph(dimensions));
}
