/** The tuning cache: files in `data/tuning`, one per adapter, model size and weight type. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Quant } from "../engine/engine.ts";
import { type Tuning, type TuningSizes, tuningSizes } from "../engine/gpu/tune.ts";
import { weightTypes } from "../model/weight_types.ts";
import type { Model } from "../model/load.ts";

const FOLDER = "data/tuning";

/** Version of the kernels and their candidates. Results of other versions are ignored. */
const VERSION = 1;

const count = z.int().min(1);

/** Rows and tokens per thread occupy registers, so larger values are never useful. */
const perThread = z.int().min(1).max(64);

/** Threads per workgroup that every adapter supports, and rows per block, one thread each. */
const THREADS = 256;
const BLOCK_ROWS = 8;

const tile = z.object({
  rowBlocks: perThread,
  tokens: perThread,
  lanes: count,
  threadBlocks: count,
})
  .refine(({ lanes, threadBlocks }) => BLOCK_ROWS * lanes * threadBlocks <= THREADS);

const file = z.object({
  version: z.literal(VERSION),
  adapter: z.string(),
  choices: z.array(z.object({ tokens: count, tile: tile.nullable() })).min(1).max(64),
  stepTokens: count,
});

export interface TuningCacheOptions {
  quant: Quant;
  maxStepTokens: number;
  folder?: string | undefined;
}

/** The cached tuning of a model on an adapter. */
export class TuningCache {
  /** The sizes to tune. */
  readonly sizes: TuningSizes;
  /** Path of the file. */
  readonly path: string;
  readonly #adapter: string;
  readonly #folder: string;

  /** @param adapter Name of the adapter. A cached result must have the same name. */
  constructor(
    adapter: string,
    model: Model,
    { quant, maxStepTokens, folder = FOLDER }: TuningCacheOptions,
  ) {
    this.sizes = tuningSizes(model, { type: mostCommonType(model, quant), maxStepTokens });
    this.path = join(folder, fileName(adapter, model, this.sizes));
    this.#adapter = adapter;
    this.#folder = folder;
  }

  /**
   * Reads the cached tuning, or returns null if there is none.
   *
   * @param onInvalid Called with the reason if the file exists but cannot be used.
   */
  async read(onInvalid: (problem: string) => void): Promise<Tuning | null> {
    let text: string;
    try {
      text = await Deno.readTextFile(this.path);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) return null;
      if (!(error instanceof Deno.errors.NotFound)) onInvalid((error as Error).message);
      return null;
    }
    const cached = parseTuning(text);
    if (cached?.adapter === this.#adapter) return cached;
    onInvalid(
      cached
        ? `it belongs to the adapter ${cached.adapter}, not ${this.#adapter}`
        : "it is damaged or of another version",
    );
    return null;
  }

  /** Returns whether this process may write the file. */
  async writable(): Promise<boolean> {
    const { state } = await Deno.permissions.query({ name: "write", path: this.#folder });
    return state === "granted";
  }

  /** Writes the file atomically and replaces an existing one. Throws file system errors. */
  async write({ choices, stepTokens }: Tuning): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const content: z.infer<typeof file> = {
      version: VERSION,
      adapter: this.#adapter,
      choices,
      stepTokens,
    };
    const part = `${this.path}.${crypto.randomUUID()}.part`;
    await Deno.writeTextFile(part, `${JSON.stringify(content, null, 2)}\n`);
    await Deno.rename(part, this.path);
  }
}

/** Parses a cache file. Returns null if it is invalid or has another version. */
export function parseTuning(text: string): Tuning & { adapter: string } | null {
  return file.safeParse(parseJson(text)).data ?? null;
}

function fileName(
  adapter: string,
  { dimensions: { version, width, ffnWidth } }: Model,
  { type, maxStepTokens }: TuningSizes,
): string {
  const name = adapter.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 80);
  return `${name}-rwkv${version}-${width}-${ffnWidth}-${type}-${maxStepTokens}.json`;
}

/** Returns the type of most matrices. */
function mostCommonType(model: Model, quant: Quant): TuningSizes["type"] {
  const groups = Map.groupBy(weightTypes(model, quant).values(), (type) => type);
  return [...groups].sort(([, a], [, b]) => b.length - a.length)[0][0];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
