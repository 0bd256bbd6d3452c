/** `info`: what a checkpoint holds. */

import { layerGraph } from "../model/rwkv5.ts";
import { openModel } from "../model/load.ts";
import { stateLength } from "../model/dimensions.ts";
import { type Command, JSON_FLAG, MODEL_FLAGS, printJson, printText } from "./command.ts";
import { openFile } from "./file_source.ts";
import { findModel } from "./model_files.ts";

export const info: Command = {
  name: "info",
  summary: "Shows a model's version, sizes, element types and fingerprint",
  examples: ["info", "info --model RWKV-5-World-0.4B.pth --json"],
  flags: { ...MODEL_FLAGS, ...JSON_FLAG },
  run: async (flags) => {
    const files = await findModel(flags);
    const source = await openFile(files.file);
    const fileBytes = source.size;
    const model = await openModel(source, { groupNormEps: files.groupNormEps });
    const { dimensions, checkpoint } = model;
    const dtypes: Record<string, number> = {};
    let parameters = 0;
    for (const { dtype, shape } of checkpoint.tensors.values()) {
      dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
      parameters += shape.reduce((a, b) => a * b, 1);
    }
    await model.close();
    const report = {
      id: files.id,
      file: files.file,
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
      dtypes,
      bytes: fileBytes,
      state_bytes: stateLength(dimensions) * 4,
      operations: layerGraph(dimensions).length,
      fingerprint: model.fingerprint,
      vocabulary_file: files.vocabulary,
    };
    if (flags.json) return await printJson(report);
    const lines = Object.entries(report).map(([name, value]) => {
      const shown = value !== null && typeof value === "object"
        ? Object.entries(value).map(([dtype, n]) => `${n} x ${dtype}`).join(", ")
        : value ?? "none";
      return `${name.replaceAll("_", " ").padEnd(16)} ${shown}`;
    });
    await printText(`${lines.join("\n")}\n`);
  },
};
