/** The speed of a worker's engine: step times derived from the output of `rwkv bench --json`. */

import { z } from "zod";
import { DEFAULT_ENGINE_SIZES } from "../src/server/open_engine.ts";
import { InferenceError } from "../src/core/errors.ts";

/** All times in milliseconds. */
export interface SpeedProfile {
  /** Name of the model, its quantization and the adapter. */
  name: string;
  /** Times of a decode step, by rising batch size. */
  decode: { batch: number; ms: number }[];
  /** A prefill step takes `step`, plus `token` for each prompt token. */
  read: { step: number; token: number };
  /** Time from the end of a call to its result on the CPU; the next call runs meanwhile. */
  readBack: number;
  /** Time to write a state into a slot. */
  writeState: number;
  /** Bytes of a state as float32. */
  stateBytes: number;
  /** Whether finished turns cost nothing in the rest of a window, as on the CPU engine. */
  omitted: boolean;
}

const median = z.object({ median: z.number().positive() });

/** The used part of the output of `bench --json`. */
const report = z.object({
  model: z.string(),
  device: z.string(),
  adapter: z.string(),
  quant: z.string(),
  decode: z.array(z.object({ batch: z.number().int().positive(), tokens_per_second: median }))
    .min(1),
  prefill: z.array(
    z.object({ tokens: z.number().int().positive(), seconds_to_first_token: median }),
  ).min(1),
  state: z.object({ bytes: z.number().positive(), read_ms: median, write_ms: median }),
});

/** @throws InferenceError `usage` if the file is not the output of `bench --json` */
export async function readProfile(file: string): Promise<SpeedProfile> {
  try {
    return parseProfile(JSON.parse(await Deno.readTextFile(file)), file);
  } catch (cause) {
    if (cause instanceof InferenceError) throw cause;
    const message = `Cannot use --profile ${file}: ${(cause as Error).message}`;
    throw new InferenceError("usage", message, { cause });
  }
}

/** @throws InferenceError `usage` if `document` is not the output of `bench --json` */
export function parseProfile(document: unknown, file: string): SpeedProfile {
  const { success, data, error } = report.safeParse(document);
  if (!success) {
    const [{ path, message }] = error.issues;
    throw new InferenceError(
      "usage",
      `Cannot use --profile ${file}: ${
        path.join(".")
      }: ${message}; \`rwkv bench --json\` writes one`,
    );
  }
  const { model, quant, adapter, device, decode, prefill, state } = data;
  const readBack = state.read_ms.median;
  return {
    name: `${model} as ${quant} on ${adapter}`,
    decode: decode
      .map(({ batch, tokens_per_second: { median } }) => ({ batch, ms: 1000 * batch / median }))
      .sort((a, b) => a.batch - b.batch),
    read: fitPrefill(prefill.map(({ tokens, seconds_to_first_token: { median } }) => ({
      tokens,
      ms: Math.max(median * 1000 - readBack, median * 100),
    }))),
    readBack,
    writeState: state.write_ms.median,
    stateBytes: state.bytes,
    omitted: device === "cpu",
  };
}

/** Returns the milliseconds of a step with `decoding` decoding turns and `tokens` prompt tokens. */
export function stepMs(profile: SpeedProfile, decoding: number, tokens: number): number {
  const { read } = profile;
  const base = decoding > 0 ? decodeMs(profile, decoding) : read.step;
  return base + tokens * read.token;
}

/**
 * Interpolates linearly between measured batch sizes and extrapolates beyond them; at least the
 * time of the smallest batch.
 */
function decodeMs({ decode }: SpeedProfile, batch: number): number {
  const [smallest] = decode;
  if (decode.length === 1) return smallest.ms * Math.max(1, batch / smallest.batch);
  if (batch <= smallest.batch) return smallest.ms;
  const next = decode.findIndex((point) => point.batch >= batch);
  const at = next < 0 ? decode.length - 1 : next;
  const [a, b] = [decode[at - 1], decode[at]];
  return a.ms + (b.ms - a.ms) * (batch - a.batch) / (b.batch - a.batch);
}

/**
 * Fits the two prefill costs to the measured times by least squares of the relative errors. The
 * scheduler's token limit per step gives the number of steps of a prompt.
 */
function fitPrefill(
  prompts: readonly { tokens: number; ms: number }[],
): { step: number; token: number } {
  let ss = 0, st = 0, tt = 0, s = 0, t = 0;
  for (const { tokens, ms } of prompts) {
    const [steps, each] = [
      Math.ceil(tokens / DEFAULT_ENGINE_SIZES.maxStepTokens) / ms,
      tokens / ms,
    ];
    ss += steps * steps;
    st += steps * each;
    tt += each * each;
    s += steps;
    t += each;
  }
  const determinant = ss * tt - st * st;
  const step = (s * tt - t * st) / determinant;
  const token = (t * ss - s * st) / determinant;
  // A single prompt, or noise, cannot separate the two costs.
  if (determinant > 1e-9 * ss * tt && step >= 0 && token > 0) return { step, token };
  return { step: 0, token: t / tt };
}
