/** Opens a checkpoint as a model: dimensions, prepared small tensors, matrices by rows. */

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

/** 1e-5 times 8 squared, 8 being the head_size_divisor of the published models. */
export const DEFAULT_GROUP_NORM_EPS = 64e-5;

/** An open checkpoint. Its matrices can be read until it is closed. */
export interface Model {
  /** Name of the file. */
  readonly name: string;
  /** Version and sizes, as the tensors tell them. */
  readonly dimensions: Dimensions;
  /** `tensorDigest` of the checkpoint, or of the one that it was converted from. */
  readonly digest: string;
  /** The same for files with the same tensors; states belong to it. */
  readonly fingerprint: string;
  /** What a converted file tells of itself; `null` for any other. */
  readonly converted: ConversionInfo | null;
  /** Small tensors, prepared as `prepareVectors` tells. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  /** The file itself. */
  readonly checkpoint: Checkpoint;
  /** Names in the checkpoint, by published name, of all tensors that are not packed. */
  readonly names: ReadonlyMap<string, string>;
  /** Tensors of the checkpoint, by its own names, that the model does not use. */
  readonly unusedTensors: readonly string[];
  /** A matrix, by one of `matrixNames`. */
  matrix(name: string): MatrixSource;
  /** Closes the file; engines that were made of it go on. */
  close(): Promise<void>;
}

/** What files may not tell of a model. */
export interface ModelOptions {
  /** Epsilon of the group norm, whatever the files say. */
  groupNormEps?: number | undefined;
  /** That of the config.json beside the file; a converted file's own goes before it. */
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

/** As `openModel`, for a checkpoint that is open, or is no file. */
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
      throw invalidCheckpoint(checkpoint.name, `holds ${name} twice, packed and as floats`);
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

/** @throws InferenceError `invalid_checkpoint` for a file that the rwkv package of Python wrote. */
function assertNotPrepared({ name, metadata: { _strategy: strategy } }: Checkpoint): void {
  if (strategy === undefined) return;
  throw invalidCheckpoint(
    name,
    `it was converted by Python's rwkv package for the strategy ${
      JSON.stringify(strategy)
    }, which ` +
      "transposes and rescales matrices for that package alone: use the original .pth from which it " +
      "was converted, as its publisher has it",
  );
}

/** A matrix that the file holds as floats. */
function floatMatrix(
  checkpoint: Checkpoint,
  { name, names }: { name: string; names: ReadonlyMap<string, string> },
): MatrixSource {
  const stored = names.get(name);
  if (stored === undefined) throw new Error(`the graph asks for an unknown matrix ${name}`);
  const [rows, columns] = checkpoint.tensors.get(stored)!.shape;
  return {
    name,
    rows,
    columns,
    packed: null,
    readRows: (first, count) => checkpoint.readRows(stored, first, count),
    readPacked: () => Promise.reject(new Error(`${name} is not packed`)),
  };
}

/**
 * Group norm eps out of a model's `config.json`, or undefined where it does not say.
 *
 * @throws InferenceError `invalid_checkpoint` if it is no JSON or the divisor no positive number.
 */
export function configGroupNormEps(text: string, name: string): number | undefined {
  const refuse = (message: string, cause?: unknown) =>
    new InferenceError("invalid_checkpoint", `Cannot use ${name}: ${message}`, {
      cause,
      param: name,
    });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw refuse(`it is not JSON (${(cause as Error).message})`, cause);
  }
  if (typeof config !== "object" || config === null) throw refuse("it is not a JSON object");
  const divisor = (config as Record<string, unknown>).head_size_divisor;
  if (divisor === undefined) return undefined;
  if (typeof divisor !== "number" || !(divisor > 0 && divisor < 1e6)) {
    throw refuse(`head_size_divisor is ${JSON.stringify(divisor)} and must be a positive number`);
  }
  return 1e-5 * divisor * divisor;
}
