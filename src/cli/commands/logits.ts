/** `logits`: runs tokens through a model and prints the logits of the next token. */

import { readFile } from "node:fs/promises";
import { InferenceError } from "../../core/errors.ts";
import { checkLogits } from "../../engine/check_runs.ts";
import { prefill } from "../../engine/prefill.ts";
import { MemorySource } from "../../formats/byte_source.ts";
import { openCheckpoint } from "../../formats/checkpoint.ts";
import { encodeSafetensors } from "../../formats/safetensors.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { writeFileAtomic } from "../../model_files/file_sink.ts";
import { findModel, type ModelFiles, openModelTokenizer } from "../../model_files/find_model.ts";
import { engineOptions, openEngine } from "../../server/open_engine.ts";
import { withProgress } from "../output/progress.ts";
import { printJson } from "../output/print.ts";
import { type Flags, numberFlag, stringFlag, usageError } from "../../settings/flags.ts";
import { MODEL_FLAGS } from "../../settings/settings.ts";

/** Maximum tokens per step. */
const MAX_CHUNK = 1024;

export const logits: Command = {
  name: "logits",
  summary: "Runs tokens through a model and prints the logits as JSON",
  examples: [
    "logits --tokens 1,2,3 --all --json",
    "logits --prompt 'User: hi' --state-out hi.safetensors --json",
  ],
  flags: {
    ...MODEL_FLAGS,
    tokens: { type: "string", placeholder: "1,2,3", help: "token ids to process" },
    prompt: { type: "string", placeholder: "TEXT", help: "text to process" },
    all: { type: "boolean", help: "a row of logits for every token, not only for the last" },
    chunk: { type: "string", placeholder: "N", help: "tokens per step", defaultValue: "256" },
    "state-in": {
      type: "string",
      placeholder: "FILE",
      help: "safetensors file with the state to start from",
    },
    "state-out": {
      type: "string",
      placeholder: "FILE",
      help: "safetensors file to write the final state to",
    },
    ...JSON_FLAG,
  },
  run: async (flags) => {
    const chunk = numberFlag(flags, "chunk", { min: 1, max: 1e9, integer: true }) ?? 256;
    const files = await findModel(flags);
    const tokens = await requestedTokens(flags, files);
    const stateIn = stringFlag(flags, "state-in");
    const state = stateIn ? await readStateFile(stateIn) : null;
    const maxStepTokens = Math.min(chunk, MAX_CHUNK, tokens.length);
    const options = engineOptions(flags, files, { slots: 1, maxStepTokens });
    const engine = await withProgress(
      "Loading",
      (onProgress) =>
        openEngine(options, { onProgress, onNotice: (_, line) => console.error(line) }),
    );
    try {
      await engine.writeState(0, state);
      const values = await prefill(engine, tokens, { slot: 0, logits: flags.all ? "all" : "last" });
      checkLogits(values, "these tokens");
      const stateOut = stringFlag(flags, "state-out");
      if (stateOut) await writeStateFile(stateOut, await engine.readState(0));
      const { vocabulary } = engine.info.dimensions;
      const rows: number[][] = [];
      for (let at = 0; at < values.length; at += vocabulary) {
        rows.push([...values.subarray(at, at + vocabulary)]);
      }
      await printJson({ device: engine.info.device, tokens, logits: rows });
    } finally {
      await engine.close();
    }
  },
};

async function requestedTokens(flags: Flags, files: ModelFiles): Promise<number[]> {
  const list = stringFlag(flags, "tokens");
  const prompt = stringFlag(flags, "prompt");
  if ((list === undefined) === (prompt === undefined)) {
    throw usageError("Cannot compute logits: give either --tokens 1,2,3 or --prompt TEXT");
  }
  if (list !== undefined) {
    return list.split(",").map((part) => {
      if (!/^\s*\d+\s*$/.test(part)) {
        throw usageError(`Cannot use --tokens: "${part.trim()}" is not a token id`);
      }
      return Number(part);
    });
  }
  const tokens = (await openModelTokenizer(files)).encode(prompt!);
  if (tokens.length === 0) {
    throw usageError("Cannot use --prompt: the text is empty; use a longer one");
  }
  return tokens;
}

async function readStateFile(path: string): Promise<Float32Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new InferenceError("file_error", `Cannot read ${path}: ${(cause as Error).message}`, {
      cause,
      param: "state-in",
    });
  }
  return await (await openCheckpoint(new MemorySource(path, bytes))).read("state");
}

async function writeStateFile(path: string, state: Float32Array): Promise<void> {
  const bytes = encodeSafetensors(new Map([["state", { shape: [state.length], data: state }]]));
  await writeFileAtomic(path, (sink) => sink.write(0, bytes));
}
