/** What tuning has found, in files below `data/tuning`: one for an adapter, sizes and a type. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { InferenceError } from "../core/errors.ts";
import type { Quant } from "../engine/engine.ts";
import { tune, type TunedSizes, tunedSizes, type Tuning } from "../engine/tune.ts";
import type { OpenDevice } from "../gpu/mod.ts";
import { heldTypes } from "../model/held_types.ts";
import type { Model } from "../model/load.ts";

const FOLDER = "data/tuning";

/** Of kernels and their candidates: what was found for others counts no more. */
const VERSION = 1;

const count = z.int().min(1);

/** Rows and tokens of a thread are registers: none has more that is worth it. */
const owned = z.int().min(1).max(64);

/** Threads of a workgroup that every adapter has, and rows of a block, a thread each. */
const THREADS = 256;
const BLOCK_ROWS = 8;

const tile = z.object({ rowBlocks: owned, tokens: owned, lanes: count, threadBlocks: count })
  .refine(({ lanes, threadBlocks }) => BLOCK_ROWS * lanes * threadBlocks <= THREADS);

const file = z.object({
  version: z.literal(VERSION),
  adapter: z.string(),
  choices: z.array(z.object({ tokens: count, tile: tile.nullable() })).min(1).max(64),
  stepTokens: count,
});

/**
 * What was found before, or is found now and kept. `null` where it can't be kept: then it is not
 * worth its time.
 */
export async function keptTuning(
  open: OpenDevice,
  model: Model,
  { quant, maxStepTokens }: { quant: Quant; maxStepTokens: number },
): Promise<Tuning | null> {
  const { state } = await Deno.permissions.query({ name: "write", path: FOLDER });
  if (state !== "granted") return null;
  const sizes = tunedSizes(model, { type: usualType(model, quant), maxStepTokens });
  const path = join(FOLDER, fileName(open, model, sizes));
  try {
    const kept = await read(path, open);
    if (kept) return kept;
    await mkdir(FOLDER, { recursive: true });
    const tuning = await tune(open, sizes);
    if (tuning) await write(path, { version: VERSION, adapter: open.adapter, ...tuning });
    return tuning;
  } catch (error) {
    if (error instanceof InferenceError) throw error;
    // A folder that is read-only, or full: the system's code tells.
    if (typeof (error as { code?: unknown }).code === "string") return null;
    throw error;
  }
}

async function read(path: string, { adapter }: OpenDevice): Promise<Tuning | null> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  const kept = parseTuning(text);
  // What can't be read, or was found on another adapter with a like name, is replaced.
  return kept?.adapter === adapter ? kept : null;
}

/** What a file of any text tells of tuning; `null` unless it is one of this version. */
export function parseTuning(text: string): Tuning & { adapter: string } | null {
  return file.safeParse(parse(text)).data ?? null;
}

/** Whole or not at all, whoever else writes it at the same time. */
async function write(path: string, tuning: z.infer<typeof file>): Promise<void> {
  const part = `${path}.${crypto.randomUUID()}.part`;
  await Deno.writeTextFile(part, `${JSON.stringify(tuning, null, 2)}\n`);
  await Deno.rename(part, path);
}

function fileName(
  { adapter }: OpenDevice,
  { dimensions: { version, width, ffnWidth } }: Model,
  { type, maxStepTokens }: TunedSizes,
): string {
  const name = adapter.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 80);
  return `${name}-rwkv${version}-${width}-${ffnWidth}-${type}-${maxStepTokens}.json`;
}

/** The type that most matrices are held as. */
function usualType(model: Model, quant: Quant): TunedSizes["type"] {
  const groups = Map.groupBy(heldTypes(model, quant).values(), (type) => type);
  return [...groups].sort(([, a], [, b]) => b.length - a.length)[0][0];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
