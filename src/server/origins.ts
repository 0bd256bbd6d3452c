/** `--origins`: the pages that may call a worker (CORS). */

import { type Flags, stringFlag, usageError } from "../settings/flags.ts";

/**
 * An origin of an application or a browser extension: a scheme, and a host or `*` for every host.
 */
const APP_ORIGIN = /^([a-z][a-z\d+.-]*):\/\/(\*|[^\s/?#@*]+)\/?$/i;

/** URL schemes that are never the origin of a page. */
const NO_PAGES = ["http", "https", "ftp", "ws", "wss", "file", "data", "blob", "javascript"];

/** Returns the origins in the form that browsers and web views send. */
export function originsFlag(flags: Flags): string[] {
  const list = stringFlag(flags, "origins")?.split(",").map((part) => part.trim()) ?? [];
  return list.filter((part) => part !== "").map(originOf);
}

function originOf(part: string): string {
  if (part === "*" || part === "null") return part;
  if (/^file:\/{2,3}$/i.test(part)) return "file://";
  const origin = /^https?:[^*]*$/i.test(part) ? URL.parse(part)?.origin : undefined;
  // Reject an origin with a path, a user or a pattern, because it would never match.
  if (origin !== undefined && `${origin}/` === URL.parse(part)!.href) return origin;
  const [, scheme = "", host] = APP_ORIGIN.exec(part) ?? [];
  if (scheme !== "" && !NO_PAGES.includes(scheme.toLowerCase())) {
    return `${scheme}://${host}`.toLowerCase();
  }
  throw usageError(
    `Cannot use --origins ${part}: an origin is a scheme and a host, such as ` +
      "https://chat.example.com, app://obsidian.md or moz-extension://*; pages opened from files " +
      "are file:// or null",
  );
}
