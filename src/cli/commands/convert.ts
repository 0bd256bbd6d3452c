/**
 * `convert`: writes a model with its matrices packed for the device, or a random model for tests.
 */

import { dirname } from "node:path";
import { InferenceError } from "../../core/errors.ts";
import { writeTorchFile } from "../../formats/torch_writer.ts";
import { convertModel } from "../../model/convert.ts";
import type { ConversionInfo } from "../../model/converted_file.ts";
import { randomCheckpoint } from "../../model/random_checkpoint.ts";
import type { ModelSize } from "../../model/architectures/registry.ts";
import { type Quant, QUANT_NAMES } from "../../quant/mod.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { writeFileAtomic } from "../../model_files/file_sink.ts";
import { findModel, type ModelSource } from "../../model_files/find_model.ts";
import { bitsPerWeight, unusedTensorsNotice } from "../../model_files/model_report.ts";
import { modelPaths } from "../../model_files/open_model_file.ts";
import { openModelSource } from "../../model_files/open_model_file.ts";
import { withProgress } from "../output/progress.ts";
import { withInterruptSignal } from "../../server/signals.ts";
import { formatBytes, formatDuration } from "../../core/units.ts";
import { printJson } from "../output/print.ts";
import { usageError } from "../../settings/flags.ts";
import { quantFlag, shapeFlag } from "../../settings/model_settings.ts";
import { MODEL_FLAGS } from "../../settings/settings.ts";

/** Half the size of float16, with a barely measurable loss. */
const DEFAULT_QUANT: Quant = "int8";

/** Bytes of a random tensor that are generated per write. */
const PIECE_BYTES = 4 * 1024 * 1024;

export const convert: Command = {
  name: "convert",
  summary: "Writes a model with quantized matrices, which loads fast",
  positional: "SRC DST.safetensors | --shape S DST.safetensors | --shape S DST.pth",
  examples: [
    "convert RWKV-5-World-1B5.pth world-1b5-int8.safetensors",
    "convert RWKV-5-World-3B.pth world-3b-nf4.safetensors --quant nf4,head=int8",
    "convert --shape 0.4b random-0.4b.pth",
  ],
  flags: {
    quant: {
      type: "string",
      placeholder: QUANT_NAMES.join("|"),
      help: "weight type, with exceptions by name such as nf4,head=int8",
      defaultValue: DEFAULT_QUANT,
    },
    shape: {
      ...MODEL_FLAGS.shape,
      help:
        "random weights of a published size instead of SRC; a .pth file stores them as bfloat16",
    },
    "group-norm-eps": MODEL_FLAGS["group-norm-eps"],
    ...JSON_FLAG,
  },
  run: async (flags, positionals) => {
    const shape = shapeFlag(flags);
    const quant = quantFlag(flags, "quant");
    if (positionals.length !== (shape ? 1 : 2)) {
      throw usageError(
        shape
          ? "Cannot convert: with --shape, name one file, the target"
          : "Cannot convert: name two files, the model and the target",
      );
    }
    const target = positionals.at(-1)!;
    if (shape && target.endsWith(".pth")) {
      if (quant) {
        throw usageError(
          "Cannot use --quant: a .pth file stores bfloat16; name a .safetensors file",
        );
      }
      return await withInterruptSignal((signal) => writeRandom(shape, target, signal));
    }
    if (!target.endsWith(".safetensors")) {
      throw usageError(`Cannot write ${target}: a converted file must end in .safetensors`);
    }
    const { source, vocabulary } = await findModel(
      shape ? flags : { ...flags, model: positionals[0] },
    );
    await assertNotSource(source, target);
    const report = await withInterruptSignal((signal) =>
      writeConverted(source, target, { quant: quant ?? DEFAULT_QUANT, signal })
    );
    const vocabularyElsewhere = vocabulary && dirname(vocabulary) !== dirname(target);
    console.error(
      `Try it: deno task rwkv chat --model ${target}${
        vocabularyElsewhere ? ` --vocab ${vocabulary}` : ""
      }`,
    );
    if (flags.json) return await printJson(report);
  },
};

/** Writes a quantized model and reports progress on stderr. */
export async function writeConverted(
  source: ModelSource,
  target: string,
  { quant, signal }: { quant: Quant; signal: AbortSignal },
) {
  const start = performance.now();
  const { model } = await openModelSource(source, quant);
  const notice = unusedTensorsNotice(model);
  if (notice !== null) console.error(notice);
  try {
    const converted = await withProgress(
      "Converting",
      (onProgress) =>
        writeFileAtomic(target, (sink) => convertModel(model, sink, { quant, onProgress }), {
          signal,
        }),
    );
    const report = {
      file: target,
      quant,
      bytes: (await Deno.stat(target)).size,
      bits_per_weight: bitsPerWeight(model, quant),
      fingerprint: model.fingerprint,
      seconds: Math.round((performance.now() - start) / 100) / 10,
      matrices: Object.fromEntries(converted.matrices),
    };
    console.error(
      `Wrote ${target}: ${formatBytes(report.bytes)}, ` +
        `${Number(report.bits_per_weight.toFixed(2))} bits per weight, relative error ` +
        `up to ${maxError(converted)}, in ${formatDuration(report.seconds)}`,
    );
    return report;
  } finally {
    await model.close();
  }
}

/** `0.076 (blocks.0.att.key.weight)`. */
function maxError({ matrices }: ConversionInfo): string {
  const [name, error] = [...matrices].map(([name, { error }]) => [name, error ?? 0] as const)
    .reduce((a, b) => b[1] > a[1] ? b : a);
  return error === 0 ? "0" : `${Number(error.toPrecision(2))} (${name})`;
}

/** Writes a .pth file with random bfloat16 weights, in the layout of a trained model. */
async function writeRandom(shape: ModelSize, target: string, signal: AbortSignal): Promise<void> {
  const checkpoint = await randomCheckpoint(shape, "none");
  const tensors = [...checkpoint.tensors.values()].map((tensor) => {
    return { ...tensor, dtype: "BF16" as const };
  });
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  await withProgress("Writing", (onProgress) =>
    writeFileAtomic(target, async (sink) => {
      let done = 0;
      await writeTorchFile(sink, tensors, {
        bytesOf: async function* ({ name, byteLength }) {
          for (let at = 0; at < byteLength; at += PIECE_BYTES) {
            const length = Math.min(PIECE_BYTES, byteLength - at);
            yield await checkpoint.readRaw(name, at, length);
            onProgress(done += length, total);
          }
        },
      });
    }, { signal }));
  console.error(`Wrote ${target}: ${formatBytes((await Deno.stat(target)).size)} of bfloat16`);
}

/** @throws InferenceError `file_error` if the target is one of the source files. */
async function assertNotSource({ from }: ModelSource, target: string): Promise<void> {
  if (!("file" in from)) return;
  try {
    const targetPath = await Deno.realPath(target);
    const sourcePaths = await Promise.all(
      (await modelPaths(from.file)).map((path) => Deno.realPath(path)),
    );
    if (!sourcePaths.includes(targetPath)) return;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new InferenceError(
    "file_error",
    `Cannot write ${target}: it is the model to convert; name another file`,
    { param: target },
  );
}
