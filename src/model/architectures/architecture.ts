/** The interface that each generation of RWKV implements, one file each. */

import { InferenceError } from "../../core/errors.ts";
import type { Dimensions } from "../dimensions.ts";
import type { Op } from "../graph.ts";

/** Shapes of the tensors of a file, by published name. */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;

/** Reads a small tensor, by published name, as float32. */
export type ReadTensor = (name: string) => Promise<Float32Array>;

/** A generation of RWKV. Tensors have their published names throughout. */
export interface Architecture {
  /** The number of the generation, such as `5`: the part of `Dimensions.version` before the dot. */
  readonly generation: string;

  /** Dimensions of the published models, by the sizes that name them, such as `0.4b`. */
  readonly sizes: Readonly<Record<string, Dimensions>>;

  /** Returns whether a checkpoint with these tensors is of this generation. */
  matches(shapes: TensorShapes): boolean;

  /**
   * Reads version and sizes from shapes alone, and checks every tensor.
   *
   * @param options.layers Number of layers that the tensors name.
   * @throws InferenceError `invalid_checkpoint` that names the tensor, its shape and the expected one.
   */
  readDimensions(
    shapes: TensorShapes,
    options: { file: string; groupNormEps: number; layers: number },
  ): Dimensions;

  /** Returns every tensor of a checkpoint, in its published shape. */
  tensorShapes(dimensions: Dimensions): Map<string, readonly number[]>;

  /** Returns the names of the tensors that the model reads from a checkpoint with these shapes. */
  tensorNames(dimensions: Dimensions, shapes: TensorShapes): Set<string>;

  /** Prepares the small tensors for the kernels, by the names that the layer graph uses. */
  prepareVectors(
    dimensions: Dimensions,
    shapes: TensorShapes,
    read: ReadTensor,
  ): Promise<Map<string, Float32Array>>;

  /** Returns the operations of a step, in order. */
  layerGraph(dimensions: Dimensions): Op[];

  /** Returns the sizes of the recurrent state. */
  stateLayout(dimensions: Dimensions): StateLayout;

  /**
   * Returns the distribution of random weights of a tensor, as a function of a standard normal
   * variable.
   */
  randomWeights(name: string, shape: readonly number[]): (z: number) => number;
}

/** Sizes of a recurrent state of float32 numbers. */
export interface StateLayout {
  /** Numbers in one state. */
  length: number;
  /** Token shifts, each of the model's width. */
  shiftSites: number;
}

/** Returns an error for a checkpoint that cannot be loaded. */
export function cannotLoad(file: string, message: string): InferenceError {
  return new InferenceError("invalid_checkpoint", `Cannot load ${file}: ${message}`, {
    param: file,
  });
}

/** Returns the number of elements of a tensor. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
