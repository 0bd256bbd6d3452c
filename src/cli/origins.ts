/** `--origins`: whose web pages may call a worker. */

import { type Flags, type FlagSpec, text, usageError } from "./command.ts";

export const ORIGINS_FLAG = {
  origins: {
    type: "string",
    value: "LIST",
    env: "RWKV_ORIGINS",
    help: "web pages that may call, as https://chat.example.com,https://b.example; * for all",
    otherwise: "the worker's own page only",
  },
} as const satisfies Record<string, FlagSpec>;

/** Origins as browsers name them. */
export function originsOf(flags: Flags): string[] {
  const list = text(flags, "origins")?.split(",").map((part) => part.trim()) ?? [];
  return list.filter((part) => part !== "").map((part) => {
    if (part === "*") return part;
    const origin = URL.parse(part)?.origin;
    // A path, a user or another scheme would never match.
    if (origin !== undefined && /^https?:/.test(part) && `${origin}/` === URL.parse(part)!.href) {
      return origin;
    }
    throw usageError(
      `Cannot use --origins ${part}: an origin is a scheme and a host, as https://chat.example.com`,
    );
  });
}
