/** The message that `serve` prints on a terminal once the worker is ready. */

import type { EngineInfo } from "../../engine/engine.ts";
import { totalBytes } from "../../gpu/mod.ts";
import { wrap } from "../args/help.ts";
import type { Paint } from "./terminal.ts";
import { formatBytes } from "../../core/units.ts";
import { deviceLabel, modelLabel } from "./worker_text.ts";
import { CLI_COMMAND, type Flags } from "../../settings/flags.ts";

/** Column of the values, and maximum width of a line. */
const INDENT = 10;
const COLUMNS = 80;

export interface GreetingDetails {
  /** URL of the worker. */
  url: string;
  modelId: string;
  flags: Flags;
  engine: Pick<
    EngineInfo,
    "device" | "adapter" | "software" | "quant" | "memory" | "selection"
  >;
  /** Location of the state store. */
  kv: string;
}

/** Returns the message, with a final newline. */
export function greeting(
  { url, modelId, flags, engine, kv }: GreetingDetails,
  paint: Paint,
): string {
  const rows = [
    ["Chat", paint("bold", url)],
    ["API", `${url}/v1, documented at ${url}/docs`],
    ["Model", `${modelLabel(modelId, flags)}, as ${engine.quant}`],
    ...deviceRows(engine),
    ["Memory", formatBytes(totalBytes(engine.memory))],
    ["States", kv],
    ["Next", `${CLI_COMMAND} chat --url ${url}`],
  ];
  const lines = rows.map(([name, value]) => `  ${paint("dim", name.padEnd(INDENT - 2))}${value}`);
  return `\n${lines.join("\n")}\n\n  ${paint("dim", "Press Ctrl-C to stop")}\n`;
}

/** Returns the selected engine and the reason, wrapped to the width of a terminal. */
function deviceRows(engine: GreetingDetails["engine"]): [name: string, value: string][] {
  const reason = engine.selection?.reason ?? deviceLabel(engine);
  return wrap(reason, COLUMNS - INDENT).map((line, i) => [i === 0 ? "Device" : "", line]);
}
