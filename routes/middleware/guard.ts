/**
 * CORS, and protection against cross-site requests and DNS rebinding. A browser lets any page send
 * requests to any address, including localhost. The guard rejects pages of other origins unless they
 * are allowed, and on a local-only worker also unknown host names, which may resolve to localhost.
 */

import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { InferenceError } from "../../src/core/errors.ts";
import { RATE_LIMIT_HEADERS } from "./rate_limits.ts";

export interface OriginGuardOptions {
  /**
   * Allowed origins, such as `https://chat.example.com` or `app://obsidian.md`; `moz-extension://*`
   * for all origins of a scheme other than http and https, `*` for all origins.
   */
  allowedOrigins: readonly string[];
  /** Whether the worker serves only this machine and requires no key. */
  localOnly: () => boolean | Promise<boolean>;
}

/** Response headers that pages of other origins may read. */
const EXPOSED_HEADERS = [
  "x-state-id",
  "x-request-id",
  "retry-after",
  "x-should-retry",
  "content-disposition",
  ...RATE_LIMIT_HEADERS,
];

/** Methods without side effects: without CORS headers, a page cannot read their responses. */
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** A host name or address with an optional port, without characters that would end it in a URL. */
const HOST_HEADER = /^(\[[\da-f:.]+\]|[\w.~%!$&'()*+,;=-]+)(:\d*)?$/i;

/** How long a browser may cache a preflight response, in seconds. */
const PREFLIGHT_MAX_AGE = 3600;

/** Responds to preflight requests, and rejects requests of pages that are not allowed. */
export function originGuard(
  { allowedOrigins, localOnly }: OriginGuardOptions,
): MiddlewareHandler[] {
  const allowed = new Set(allowedOrigins);
  // Other schemes do not own their hosts, so these must not become host names of the worker.
  const hosts = new Set(allowedOrigins.filter(isWeb).map((origin) => URL.parse(origin)?.hostname));
  const isAllowed = (origin: string) =>
    allowed.has("*") || allowed.has(origin) ||
    !isWeb(origin) && allowed.has(origin.replace(/^([a-z][a-z\d+.-]*:\/\/).*$/s, "$1*"));
  const reject: MiddlewareHandler = async (c, next) => {
    const hostHeader = c.req.header("host");
    // Request URLs are built from this header and the path: "localhost/metrics?" would shift the path.
    if (hostHeader !== undefined && !HOST_HEADER.test(hostHeader)) {
      throw new InferenceError(
        "invalid_value",
        `Cannot use the Host header ${
          JSON.stringify(hostHeader.slice(0, 80))
        }: expected a host and an ` +
          "optional port",
      );
    }
    const { host, hostname } = new URL(c.req.url);
    const isKnownHost = isLoopback(hostname) || hosts.has(hostname) || allowed.has("*");
    if (!isKnownHost && await localOnly()) {
      throw new InferenceError(
        "host_not_allowed",
        `Cannot serve host "${hostname}": this worker has no API keys and serves only its own machine; ` +
          `create a key (deno task rwkv keys create), or allow https://${hostname} with --origins (RWKV_ORIGINS)`,
      );
    }
    const origin = c.req.header("origin");
    const isSameOrigin = origin === undefined || isWeb(origin) && URL.parse(origin)?.host === host;
    if (!isSameOrigin && !isAllowed(origin) && !SAFE_METHODS.has(c.req.method)) {
      throw new InferenceError(
        "origin_not_allowed",
        `Cannot accept requests from origin "${origin}": allow it with --origins (RWKV_ORIGINS)`,
      );
    }
    await next();
  };
  if (allowedOrigins.length === 0) return [reject];
  const origin = allowed.has("*")
    ? "*"
    : (requested: string) => isAllowed(requested) ? requested : null;
  return [cors({ origin, exposeHeaders: EXPOSED_HEADERS, maxAge: PREFLIGHT_MAX_AGE }), reject];
}

function isWeb(origin: string): boolean {
  return /^https?:\/\//.test(origin);
}

/** Returns whether a host name or address is a loopback one. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/.test(hostname);
}
