/** `models`: lists the pulled models. */

import { type Command, JSON_FLAG } from "../args/command.ts";
import { type CachedModel, ModelCache } from "../../model_files/model_cache.ts";
import { formatBytes } from "../../core/units.ts";
import { printJson, printText } from "../output/print.ts";

export const models: Command = {
  name: "models",
  summary: "Lists the pulled models",
  examples: ["models", "models --json"],
  flags: JSON_FLAG,
  run: async (flags) => {
    const cache = new ModelCache();
    const found = await cache.list();
    if (flags.json) return await printJson(found.map(modelToJson));
    if (found.length === 0) {
      console.error(`No models in ${cache.root}; \`deno task rwkv pull 0.4b\` downloads one`);
      return;
    }
    await printText(`${formatModels(found)}\n`);
    const bytes = found.reduce((sum, model) => sum + model.bytes, 0);
    console.error(`${formatBytes(bytes)} in ${cache.root}`);
  },
};

/** Returns a model as `--json` prints it. */
export function modelToJson({ name, folder, record, bytes, modified }: CachedModel) {
  return {
    name,
    names: record?.names ?? [],
    folder,
    file: record?.file ?? null,
    repo: record?.repo ?? null,
    bytes,
    quant: record?.quant ?? null,
    version: record?.version ?? null,
    parameters: record?.parameters ?? null,
    vocabulary: record?.vocabulary ?? false,
    complete: record !== null,
    pulled: record?.pulled ?? modified.toISOString(),
  };
}

function formatModels(models: readonly CachedModel[]): string {
  const rows = [["NAME", "ALSO", "FILE", "BYTES", "QUANT", "RWKV", "SIZE", "PULLED (UTC)"]];
  for (const { name, record, bytes, modified } of models) {
    rows.push([
      name,
      record?.names.join(" ") || "-",
      record ? fileText(name, record.file) : "-",
      formatBytes(bytes),
      record?.quant ?? "-",
      record?.version ?? "-",
      record?.parameters ? parametersText(record.parameters) : "-",
      record ? record.pulled.slice(0, 16).replace("T", " ") : `incomplete (${day(modified)})`,
    ]);
  }
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd())
    .join("\n");
}

/** Returns only the extension if the rest of the file name is the model's name. */
function fileText(name: string, file: string): string {
  return file.startsWith(`${name}.`) ? file.slice(name.length) : file;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** Formats a parameter count as `462M` or `1.58B`. */
function parametersText(count: number): string {
  const [value, unit] = count >= 999.5e6 ? [count / 1e9, "B"] : [count / 1e6, "M"];
  return `${Number(value.toPrecision(3))}${unit}`;
}
