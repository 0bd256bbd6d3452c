/** What a worker tells the person who has started it in a terminal, once it is ready. */

import type { EngineInfo } from "../engine/engine.ts";
import { totalBytes } from "../gpu/mod.ts";
import type { Flags } from "./command.ts";
import { RUN } from "./help.ts";
import type { Paint } from "./terminal.ts";
import { bytesText } from "./units.ts";
import { deviceText, modelText } from "./worker_text.ts";

export interface Greeted {
  /** Where it listens. */
  url: string;
  modelId: string;
  flags: Flags;
  engine: Pick<EngineInfo, "device" | "adapter" | "software" | "quant" | "memory">;
  /** Where states are kept. */
  kv: string;
}

/** Lines, the last one with its newline. */
export function greeting({ url, modelId, flags, engine, kv }: Greeted, paint: Paint): string {
  const rows = [
    ["Chat", paint("bold", url)],
    ["API", `${url}/v1, described at ${url}/docs`],
    ["Model", `${modelText(modelId, flags)}, as ${engine.quant}`],
    ["Device", `${deviceText(engine)}, ${bytesText(totalBytes(engine.memory))}`],
    ["States", kv],
    ["Next", `${RUN} chat --url ${url}`],
  ];
  const lines = rows.map(([name, value]) => `  ${paint("dim", name.padEnd(8))}${value}`);
  return `\n${lines.join("\n")}\n\n  ${paint("dim", "Ctrl-C stops it")}\n`;
}
