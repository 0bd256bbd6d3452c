/** The tuning cache: files in `data/tuning`, one for each adapter, model size and weight type. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Quant } from "../engine/engine.ts";
import { type Tuning, type TuningSizes, tuningSizes } from "../engine/gpu/tune.ts";
import { weightTypes } from "../model/weight_types.ts";
import type { Model } from "../model/load.ts";

const FOLDER = "data/tuning";

/** Version of the kernels and their candidates; results for other versions are not used. */
const VERSION = 1;

const count = z.int().min(1);

/** Rows and tokens that a thread computes are registers: more than this is never useful. */
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

export interface TuningCacheOptions {
  quant: Quant;
  maxStepTokens: number;
  folder?: string | undefined;
}

/** The cached tuning of a model on an adapter. */
export class TuningCache {
  /** What there is to tune. */
  readonly sizes: TuningSizes;
  /** Path of the file. */
  readonly path: string;
  readonly #adapter: string;
  readonly #folder: string;

  /** @param adapter Name of the adapter, which a cached result must match. */
  constructor(
    adapter: string,
    model: Model,
    { quant, maxStepTokens, folder = FOLDER }: TuningCacheOptions,
  ) {
    this.sizes = tuningSizes(model, { type: usualType(model, quant), maxStepTokens });
    this.path = join(folder, fileName(adapter, model, this.sizes));
    this.#adapter = adapter;
    this.#folder = folder;
  }

  /**
   * Reads the cached tuning, or null if there is none.
   *
   * @param onInvalid Called with the reason if a file exists that cannot be used.
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

  /** Whether this process has the permission to write the file. */
  async writable(): Promise<boolean> {
    const { state } = await Deno.permissions.query({ name: "write", path: this.#folder });
    return state === "granted";
  }

  /** Writes the file atomically, in place of any other. Throws what the file system does. */
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

/** Parses a cache file; null unless it is valid and of this version. */
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

/** The type that most matrices are held as. */
function usualType(model: Model, quant: Quant): TuningSizes["type"] {
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
