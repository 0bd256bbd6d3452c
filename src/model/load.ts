/** Loads a checkpoint as a model: dimensions, prepared small tensors, and matrices readable by rows. */

import { InferenceError } from "../core/errors.ts";
import { type ByteSource, invalidCheckpoint } from "../formats/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../formats/checkpoint.ts";
import { isQuantized, type MatrixSource, packedTensors } from "../quant/mod.ts";
import { assertNoAdapters } from "./adapters.ts";
import { type ConversionInfo, packedMatrix, readConversionInfo } from "./converted_file.ts";
import type { Dimensions } from "./dimensions.ts";
import { fingerprint, tensorDigest } from "./fingerprint.ts";
import { publishedNames } from "./names.ts";
import { architectureOf, readDimensions } from "./architectures/registry.ts";

/** 1e-5 times the square of 8, the head_size_divisor of the published models. */
export const DEFAULT_GROUP_NORM_EPS = 64e-5;

/** A model in an open checkpoint. Its matrices can be read until it is closed. */
export interface Model {
  /** Name of the file. */
  readonly name: string;
  /** Version and sizes, derived from the tensors. */
  readonly dimensions: Dimensions;
  /** `tensorDigest` of the checkpoint, or of the source of a converted file. */
  readonly digest: string;
  /** Identifies the states of this model; equal for files with the same tensors. */
  readonly fingerprint: string;
  /** Metadata of a converted file; `null` for any other file. */
  readonly converted: ConversionInfo | null;
  /** Small tensors, prepared by `Architecture.prepareVectors`. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  /** The open file. */
  readonly checkpoint: Checkpoint;
  /** Names in the file by published name, without packed tensors. */
  readonly names: ReadonlyMap<string, string>;
  /** Names in the file of the tensors that the model does not use. */
  readonly unusedTensors: readonly string[];
  /** Returns a matrix by one of the names from `matrixNames`. */
  matrix(name: string): MatrixSource;
  /** Closes the file. Engines created from the model stay usable. */
  close(): Promise<void>;
}

/** Settings that the checkpoint may not contain. */
export interface ModelOptions {
  /** Epsilon of the group norm; overrides the files. */
  groupNormEps?: number | undefined;
  /** Epsilon from the config.json next to the file; the value in a converted file overrides it. */
  configEps?: number | undefined;
}

/**
 * Opens the checkpoint in `source`.
 *
 * @throws InferenceError `invalid_checkpoint`, naming file and tensor.
 */
export async function openModel(source: ByteSource, options: ModelOptions = {}): Promise<Model> {
  const checkpoint = await openCheckpoint(source);
  try {
    return await loadModel(checkpoint, options);
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** Loads a model from an open checkpoint, which need not be a file. */
export async function loadModel(
  checkpoint: Checkpoint,
  { groupNormEps, configEps }: ModelOptions = {},
): Promise<Model> {
  assertNotPrepared(checkpoint);
  const converted = readConversionInfo(checkpoint);
  const shapes = new Map<string, readonly number[]>();
  const packed = new Map<string, MatrixSource>();
  const packedNames = new Set<string>();
  for (const [name, { held: type, rows, columns }] of converted?.matrices ?? []) {
    if (!isQuantized(type)) continue;
    const sizes = { name, rows, columns, type };
    const { codes, scales } = packedTensors(sizes);
    packedNames.add(codes.name).add(scales.name);
    packed.set(name, packedMatrix(checkpoint, sizes));
    shapes.set(name, [rows, columns]);
  }
  const stored = [...checkpoint.tensors.keys()].filter((name) => !packedNames.has(name));
  const names = publishedNames(stored, checkpoint.name);
  assertNoAdapters(names, checkpoint.name);
  for (const [published, name] of names) {
    if (packed.has(published)) {
      throw invalidCheckpoint(checkpoint.name, `contains ${name} twice, packed and as floats`);
    }
    shapes.set(published, checkpoint.tensors.get(name)!.shape);
  }
  const dimensions = readDimensions(shapes, {
    file: checkpoint.name,
    groupNormEps: groupNormEps ?? converted?.groupNormEps ?? configEps ?? DEFAULT_GROUP_NORM_EPS,
  });
  const architecture = architectureOf(dimensions);
  const vectors = await architecture.prepareVectors(
    dimensions,
    shapes,
    (name) => checkpoint.read(names.get(name)!),
  );
  const used = architecture.tensorNames(dimensions, shapes);
  const digest = converted?.digest ?? await tensorDigest(checkpoint, names);
  return {
    name: checkpoint.name,
    dimensions,
    digest,
    fingerprint: await fingerprint(digest, dimensions),
    converted,
    vectors,
    checkpoint,
    names,
    unusedTensors: [...names].flatMap(([published, name]) => used.has(published) ? [] : [name]),
    matrix: (name) => packed.get(name) ?? floatMatrix(checkpoint, { name, names }),
    close: () => checkpoint.close(),
  };
}

/** Rejects files that Python's rwkv package has converted. */
function assertNotPrepared({ name, metadata: { _strategy: strategy } }: Checkpoint): void {
  if (strategy === undefined) return;
  throw invalidCheckpoint(
    name,
    `it was converted by Python's rwkv package for the strategy ${
      JSON.stringify(strategy)
    }, which ` +
      "transposes and rescales matrices for that package alone: use the original .pth of the " +
      "publisher instead",
  );
}

/** Returns a matrix that is stored as floats. */
function floatMatrix(
  checkpoint: Checkpoint,
  { name, names }: { name: string; names: ReadonlyMap<string, string> },
): MatrixSource {
  const stored = names.get(name);
  if (stored === undefined) {
    throw new Error(`Cannot read matrix ${name}: the file does not contain it`);
  }
  const [rows, columns] = checkpoint.tensors.get(stored)!.shape;
  return {
    name,
    rows,
    columns,
    packed: null,
    readRows: (first, count) => checkpoint.readRows(stored, first, count),
    readPacked: () =>
      Promise.reject(new Error(`Cannot read ${name} as packed rows: it is not packed`)),
  };
}

/**
 * Reads the group norm epsilon from a model's `config.json`; returns undefined if it has none.
 *
 * @throws InferenceError `invalid_checkpoint` if the text is not JSON or the divisor is not positive.
 */
export function configGroupNormEps(text: string, name: string): number | undefined {
  const configError = (message: string, cause?: unknown) =>
    new InferenceError("invalid_checkpoint", `Cannot use ${name}: ${message}`, {
      cause,
      param: name,
    });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw configError(`it is not JSON (${(cause as Error).message})`, cause);
  }
  if (typeof config !== "object" || config === null) throw configError("it is not a JSON object");
  const divisor = (config as Record<string, unknown>).head_size_divisor;
  if (divisor === undefined) return undefined;
  if (typeof divisor !== "number" || !(divisor > 0 && divisor < 1e6)) {
    throw configError(
      `head_size_divisor is ${JSON.stringify(divisor)}, but must be a positive number`,
    );
  }
  return 1e-5 * divisor * divisor;
}
