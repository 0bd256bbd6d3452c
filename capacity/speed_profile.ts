/** How fast a worker's engine is: what `rwkv bench --json` has measured, as times of steps. */

import { z } from "zod";
import { DEFAULT_ENGINE_SIZES } from "../src/server/open_engine.ts";
import { InferenceError } from "../src/core/errors.ts";

/** All times in milliseconds. */
export interface SpeedProfile {
  /** What was measured, and on what. */
  name: string;
  /** A step in which so many conversations write, by rising batch. */
  decode: { batch: number; ms: number }[];
  /** A step that only reads takes `step`, and `token` for each token of a prompt. */
  read: { step: number; token: number };
  /** How much later results come than the next call begins. */
  readBack: number;
  /** Putting a state into a slot. */
  writeState: number;
  /** Of a state, as float32. */
  stateBytes: number;
  /** Whether turns that have ended cost nothing in the rest of a window: on the CPU. */
  omitted: boolean;
}

const median = z.object({ median: z.number().positive() });

/** The part of `bench --json` that counts here. */
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

/** @throws InferenceError `usage` for a file that is none of `bench --json` */
export async function readProfile(file: string): Promise<SpeedProfile> {
  try {
    return parseProfile(JSON.parse(await Deno.readTextFile(file)), file);
  } catch (cause) {
    if (cause instanceof InferenceError) throw cause;
    const message = `Cannot use --profile ${file}: ${(cause as Error).message}`;
    throw new InferenceError("usage", message, { cause });
  }
}

/** @throws InferenceError `usage` for what is no document of `bench --json` */
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
    read: fitReading(prefill.map(({ tokens, seconds_to_first_token: { median } }) => ({
      tokens,
      ms: Math.max(median * 1000 - readBack, median * 100),
    }))),
    readBack,
    writeState: state.write_ms.median,
    stateBytes: state.bytes,
    omitted: device === "cpu",
  };
}

/** Milliseconds of a step in which `writers` turns write and `tokens` tokens of prompts are read. */
export function stepMs(profile: SpeedProfile, writers: number, tokens: number): number {
  const { read } = profile;
  const own = writers > 0 ? decodeMs(profile, writers) : read.step;
  return own + tokens * read.token;
}

/** Straight lines between what was measured, and on beyond it; never less than the least batch's. */
function decodeMs({ decode }: SpeedProfile, batch: number): number {
  const [least] = decode;
  if (decode.length === 1) return least.ms * Math.max(1, batch / least.batch);
  if (batch <= least.batch) return least.ms;
  const next = decode.findIndex((point) => point.batch >= batch);
  const at = next < 0 ? decode.length - 1 : next;
  const [a, b] = [decode[at - 1], decode[at]];
  return a.ms + (b.ms - a.ms) * (batch - a.batch) / (b.batch - a.batch);
}

/**
 * A prompt takes as many steps as the scheduler's bound asks for: the two costs that are nearest to
 * the measured times, by least squares of the relative errors.
 */
function fitReading(
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
  // One prompt alone, or noise, does not tell the two apart.
  if (determinant > 1e-9 * ss * tt && step >= 0 && token > 0) return { step, token };
  return { step: 0, token: t / tt };
}
