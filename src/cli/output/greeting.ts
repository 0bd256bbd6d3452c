/** What a worker tells the person who has started it in a terminal, once it is ready. */

import type { EngineInfo } from "../../engine/engine.ts";
import { totalBytes } from "../../gpu/mod.ts";
import { wrap } from "../args/help.ts";
import type { Paint } from "./terminal.ts";
import { formatBytes } from "../../core/units.ts";
import { deviceLabel, modelLabel } from "./worker_text.ts";
import { CLI_COMMAND, type Flags } from "../../settings/flags.ts";

/** Columns before a value, and of a line. */
const INDENT = 10;
const COLUMNS = 80;

export interface GreetingDetails {
  /** Where it listens. */
  url: string;
  modelId: string;
  flags: Flags;
  engine: Pick<
    EngineInfo,
    "device" | "adapter" | "software" | "quant" | "memory" | "selection"
  >;
  /** Where states are kept. */
  kv: string;
}

/** Lines, the last one with its newline. */
export function greeting(
  { url, modelId, flags, engine, kv }: GreetingDetails,
  paint: Paint,
): string {
  const rows = [
    ["Chat", paint("bold", url)],
    ["API", `${url}/v1, described at ${url}/docs`],
    ["Model", `${modelLabel(modelId, flags)}, as ${engine.quant}`],
    ...deviceRows(engine),
    ["Memory", formatBytes(totalBytes(engine.memory))],
    ["States", kv],
    ["Next", `${CLI_COMMAND} chat --url ${url}`],
  ];
  const lines = rows.map(([name, value]) => `  ${paint("dim", name.padEnd(INDENT - 2))}${value}`);
  return `\n${lines.join("\n")}\n\n  ${paint("dim", "Ctrl-C stops it")}\n`;
}

/** Which engine runs, and why, in lines that fit a terminal. */
function deviceRows(engine: GreetingDetails["engine"]): [name: string, value: string][] {
  const reason = engine.selection?.reason ?? deviceLabel(engine);
  return wrap(reason, COLUMNS - INDENT).map((line, i) => [i === 0 ? "Device" : "", line]);
}
