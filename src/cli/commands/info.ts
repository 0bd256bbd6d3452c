/** `info`: prints the contents of a checkpoint and the memory that an engine needs for it. */

import { measureCpuMemory } from "../../engine/cpu/cpu_engine.ts";
import { measureBuffers } from "../../engine/gpu/buffers.ts";
import { totalBytes } from "../../gpu/mod.ts";
import { stateLength } from "../../model/architectures/registry.ts";
import { layerGraph } from "../../model/architectures/registry.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { findModel } from "../../model_files/find_model.ts";
import {
  bitsPerWeight,
  formatNames,
  matrixReports,
  matrixTable,
} from "../../model_files/model_report.ts";
import { modelPaths } from "../../model_files/open_model_file.ts";
import { DEFAULT_ENGINE_SIZES } from "../../server/open_engine.ts";
import { openModelSource } from "../../model_files/open_model_file.ts";
import { selectDevice } from "../../server/select_device.ts";
import { formatBytes } from "../../core/units.ts";
import { printJson, printText } from "../output/print.ts";
import { engineFlags } from "../../settings/model_settings.ts";
import { MODEL_FLAGS } from "../../settings/settings.ts";

export const info: Command = {
  name: "info",
  summary: "Shows a model's sizes, types, fingerprint and memory use",
  examples: ["info", "info --model RWKV-5-World-0.4B.pth --quant nf4", "info --shape 3b --json"],
  flags: { ...MODEL_FLAGS, ...JSON_FLAG },
  run: async (flags) => {
    const files = await findModel(flags);
    const { device: choice, quant: requestedQuant } = engineFlags(flags);
    const { model, quant } = await openModelSource(files.source, requestedQuant);
    const { dimensions, checkpoint, converted } = model;
    const dtypes: Record<string, number> = {};
    for (const { dtype } of checkpoint.tensors.values()) {
      dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
    }
    const matrices = matrixReports(model, quant);
    const small = [...model.names].filter(([name, stored]) =>
      !matrices.some((m) => m.name === name) && !model.unusedTensors.includes(stored)
    );
    const parameters = matrices.reduce((sum, { shape }) => sum + shape[0] * shape[1], 0) +
      small.reduce((sum, [, name]) => {
        return sum + checkpoint.tensors.get(name)!.shape.reduce((a, b) => a * b, 1);
      }, 0);
    const { open } = await selectDevice(choice);
    const memory = open
      ? measureBuffers(open.device.limits, model, { quant, ...DEFAULT_ENGINE_SIZES })
      : measureCpuMemory(model, { quant, ...DEFAULT_ENGINE_SIZES });
    await model.close();
    const { from } = files.source;
    const facts = {
      id: files.id,
      file: "file" in from ? from.file : null,
      format: checkpoint.format,
      version: dimensions.version,
      layers: dimensions.layers,
      width: dimensions.width,
      heads: dimensions.heads,
      head_size: dimensions.headSize,
      ffn_width: dimensions.ffnWidth,
      vocabulary: dimensions.vocabulary,
      group_norm_eps: dimensions.groupNormEps,
      parameters,
      tensors: checkpoint.tensors.size,
      unread: model.unusedTensors,
      dtypes,
      bytes: "file" in from ? await bytesOf(await modelPaths(from.file)) : null,
      converted_from: converted?.source ?? null,
      state_bytes: stateLength(dimensions) * 4,
      operations: layerGraph(dimensions).length,
      fingerprint: model.fingerprint,
      vocabulary_file: files.vocabulary,
      quant,
      bits_per_weight: bitsPerWeight(model, quant),
      device: open ? "webgpu" : "cpu",
      adapter: open?.adapter ?? null,
      memory: { ...memory, total: totalBytes(memory) },
    };
    if (flags.json) return await printJson({ ...facts, matrices });
    const lines = Object.entries(facts).map(([name, value]) =>
      `${name.replaceAll("_", " ").padEnd(16)} ${formatValue(name, value)}`
    );
    lines.push(
      `${
        "".padEnd(16)
      } (as served: ${DEFAULT_ENGINE_SIZES.slots} slots, steps of ${DEFAULT_ENGINE_SIZES.maxStepTokens} tokens)`,
      "matrices",
      ...matrixTable(matrices),
    );
    await printText(`${lines.join("\n")}\n`);
  },
};

async function bytesOf(paths: readonly string[]): Promise<number> {
  const files = await Promise.all(paths.map((path) => Deno.stat(path)));
  return files.reduce((sum, { size }) => sum + size, 0);
}

function formatValue(name: string, value: unknown): string {
  if (value === null) return "none";
  if (name === "bits_per_weight") return `${Number((value as number).toFixed(3))}`;
  if (name === "bytes" || name === "state_bytes") {
    return `${value} (${formatBytes(value as number)})`;
  }
  if (name === "memory") {
    return Object.entries(value as Record<string, number>)
      .map(([use, bytes]) => `${use} ${formatBytes(bytes)}`).join(", ");
  }
  if (Array.isArray(value)) return formatNames(value);
  if (typeof value !== "object") return `${value}`;
  return Object.entries(value).map(([dtype, n]) => `${n} x ${dtype}`).join(", ");
}
