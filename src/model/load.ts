/** Opens a checkpoint as a model: dimensions, prepared small tensors, matrices by rows. */

import { InferenceError } from "../core/errors.ts";
import type { ByteSource } from "../formats/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../formats/checkpoint.ts";
import type { Dimensions } from "./dimensions.ts";
import { fingerprint } from "./fingerprint.ts";
import { publishedName } from "./names.ts";
import { prepareVectors, readDimensions } from "./rwkv5.ts";

/** 1e-5 times 8 squared, 8 being the head_size_divisor of the published models. */
export const DEFAULT_GROUP_NORM_EPS = 64e-5;

/** A matrix that is read by rows, since it may be larger than memory should hold twice. */
export interface MatrixSource {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** float32 `[count, columns]`. */
  readRows(first: number, count: number): Promise<Float32Array>;
}

/** An open checkpoint. Its matrices can be read until it is closed. */
export interface Model {
  /** Name of the file. */
  readonly name: string;
  readonly dimensions: Dimensions;
  /** The same for files with the same tensors; states belong to it. */
  readonly fingerprint: string;
  /** Small tensors, prepared as `prepareVectors` tells. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  readonly checkpoint: Checkpoint;
  matrix(name: string): MatrixSource;
  close(): Promise<void>;
}

/**
 * Opens the checkpoint in `source`.
 *
 * @throws InferenceError `invalid_checkpoint`, naming file and tensor.
 */
export async function openModel(
  source: ByteSource,
  { groupNormEps = DEFAULT_GROUP_NORM_EPS }: { groupNormEps?: number | undefined } = {},
): Promise<Model> {
  const checkpoint = await openCheckpoint(source);
  const names = new Map<string, string>();
  for (const name of checkpoint.tensors.keys()) names.set(publishedName(name), name);
  const shapes = new Map<string, readonly number[]>();
  for (const [published, name] of names) {
    shapes.set(published, checkpoint.tensors.get(name)!.shape);
  }
  const dimensions = readDimensions(shapes, { file: source.name, groupNormEps });
  const vectors = await prepareVectors(
    dimensions,
    shapes,
    (name) => checkpoint.read(names.get(name)!),
  );
  return {
    name: source.name,
    dimensions,
    fingerprint: await fingerprint(checkpoint, names, dimensions),
    vectors,
    checkpoint,
    matrix: (name) => {
      const stored = names.get(name);
      if (stored === undefined) throw new Error(`the graph asks for an unknown matrix ${name}`);
      const [rows, columns] = shapes.get(name)!;
      return {
        name,
        rows,
        columns,
        readRows: (first, count) => checkpoint.readRows(stored, first, count),
      };
    },
    close: () => checkpoint.close(),
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
