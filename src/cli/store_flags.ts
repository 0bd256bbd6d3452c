/** Where states are kept, as a command line or the environment says. */

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { DenoKvBackend, type DenoKvOptions } from "../store/deno_kv.ts";
import { type Flags, type FlagSpec, text } from "./command.ts";

const DEFAULT_KV = "data/states.sqlite3";

export const KV_FLAG = {
  kv: {
    type: "string",
    value: "PATH|URL",
    env: "RWKV_KV",
    help: "where states are kept: an SQLite file, or a denokv server's URL",
    default: DEFAULT_KV,
  },
} as const satisfies Record<string, FlagSpec>;

export function kvOf(flags: Flags): string {
  return text(flags, "kv") ?? DEFAULT_KV;
}

/** What a store is, without saying where. */
export function kindOfStore(kv: string): "memory" | "file" | "server" {
  if (kv === ":memory:") return "memory";
  return isFile(kv) ? "file" : "server";
}

/** Opens a store; a file that is not there is made. Throws as `DenoKvBackend.open`. */
export async function openBackend(
  kv: string,
  options: Pick<DenoKvOptions, "onChange" | "onRetry"> = {},
): Promise<DenoKvBackend> {
  if (isFile(kv)) {
    try {
      await mkdir(dirname(kv), { recursive: true });
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      throw new InferenceError(
        "file_error",
        `Cannot keep states in ${kv}: ${(cause as Error).message}; --kv names another place`,
        { cause, param: "kv" },
      );
    }
  }
  return await DenoKvBackend.open(kv, options);
}

/** Opens a store that somebody has made: a misspelt path is told, and no file left there. */
export async function openKnownBackend(kv: string): Promise<DenoKvBackend> {
  if (isFile(kv)) {
    await stat(kv).catch((cause) => {
      const message = `Cannot find states in ${kv}: there is no such file; --kv names the store`;
      throw new InferenceError("file_error", message, { cause, param: "kv" });
    });
  }
  return await DenoKvBackend.open(kv);
}

function isFile(kv: string): boolean {
  return !/^https?:\/\//.test(kv) && kv !== ":memory:";
}
