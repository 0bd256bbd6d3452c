/**
 * Which web pages may call. A browser lets any page send requests to any address, this machine's
 * own included: pages of other origins are refused unless they are allowed, and so are, on a worker
 * for this machine alone, names that somebody has made lead here.
 */

import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { InferenceError } from "../../src/core/errors.ts";
import { RATE_LIMIT_HEADERS } from "./rate_limits.ts";

export interface OriginGuardOptions {
  /**
   * Origins whose pages may call, as `https://chat.example.com` or `app://obsidian.md`;
   * `moz-extension://*` for all of a scheme that is not the web's, `*` for all.
   */
  allowedOrigins: readonly string[];
  /** Whether the worker is for this machine alone, and asks nobody for a key. */
  localOnly: () => boolean | Promise<boolean>;
}

/** What pages of other origins may read of answers. */
const EXPOSED = [
  "x-state-id",
  "x-request-id",
  "retry-after",
  "x-should-retry",
  "content-disposition",
  ...RATE_LIMIT_HEADERS,
];

/** Methods that change nothing: without leave, a page can't read what they answer. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/** A host, as a name or an address, with an optional port: nothing that would end it in a URL. */
const HOST = /^(\[[\da-f:.]+\]|[\w.~%!$&'()*+,;=-]+)(:\d*)?$/i;

/** Seconds for which a browser need not ask again. */
const MAX_AGE = 3600;

/** Answers browsers' questions, and refuses what pages may not ask. */
export function originGuard(
  { allowedOrigins: origins, localOnly: local }: OriginGuardOptions,
): MiddlewareHandler[] {
  const allowed = new Set(origins);
  // Nobody owns the host of another scheme: its name must not become a name of the worker.
  const hosts = new Set(origins.filter(isWeb).map((origin) => URL.parse(origin)?.hostname));
  const permits = (origin: string) =>
    allowed.has("*") || allowed.has(origin) ||
    !isWeb(origin) && allowed.has(origin.replace(/^([a-z][a-z\d+.-]*:\/\/).*$/s, "$1*"));
  const refuse: MiddlewareHandler = async (c, next) => {
    const named = c.req.header("host");
    // The URL of a request is made of this header and the path: "localhost/metrics?" moves the path.
    if (named !== undefined && !HOST.test(named)) {
      throw new InferenceError(
        "invalid_value",
        `Cannot use the Host header ${
          JSON.stringify(named.slice(0, 80))
        }: it must be a host and an ` +
          "optional port",
      );
    }
    const { host, hostname } = new URL(c.req.url);
    const known = isLoopback(hostname) || hosts.has(hostname) || allowed.has("*");
    if (!known && await local()) {
      throw new InferenceError(
        "host_not_allowed",
        `Cannot answer as "${hostname}": this worker has no keys and is for its own machine; make ` +
          `a key (rwkv keys create), or allow https://${hostname} with --origins (RWKV_ORIGINS)`,
      );
    }
    const origin = c.req.header("origin");
    const own = origin === undefined || isWeb(origin) && URL.parse(origin)?.host === host;
    if (!own && !permits(origin) && !SAFE.has(c.req.method)) {
      throw new InferenceError(
        "origin_not_allowed",
        `Cannot take requests from pages of "${origin}": allow it with --origins (RWKV_ORIGINS)`,
      );
    }
    await next();
  };
  if (origins.length === 0) return [refuse];
  const origin = allowed.has("*") ? "*" : (asks: string) => permits(asks) ? asks : null;
  return [cors({ origin, exposeHeaders: EXPOSED, maxAge: MAX_AGE }), refuse];
}

function isWeb(origin: string): boolean {
  return /^https?:\/\//.test(origin);
}

/** Whether a host's name or address is this machine's own. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/.test(hostname);
}
