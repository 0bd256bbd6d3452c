/** An app with limited keys and a virtual clock, and the limits that its responses report. */

import assert from "node:assert/strict";
import type { KeyLimits } from "../../../src/store/keys/key_limits.ts";
import { VirtualClock } from "../../access/rate_fixtures.ts";
import { HI } from "../fixtures.ts";
import { askAs, type TenantApp, tenantApp, type TenantAppOptions } from "../tenant_app.ts";

export const CHAT = "/v1/chat/completions";
export const LONG = "a long text that has more than ten tokens";

export interface LimitedApp extends TenantApp {
  clock: VirtualClock;
}

/** Creates an app with keys of ada and bob, and a second key of ada with optional own limits. */
export async function limitedApp(
  defaults: KeyLimits,
  { second, ...options }: TenantAppOptions & { second?: KeyLimits } = {},
): Promise<LimitedApp> {
  const clock = new VirtualClock();
  const { now, later } = clock;
  const limits = { defaults, now, later };
  const keys = [{ name: "second", tenant: "ada", ...(second ? { limits: second } : {}) }];
  return { ...await tenantApp(["ada", "bob"], { keys, limits, ...options }), clock };
}

export function chat(
  it: TenantApp,
  key: string,
  body: object = {},
  headers = {},
): Promise<Response> {
  return askAs(it, key, [CHAT, { body: { ...HI, ...body }, headers }]);
}

export interface ChatAnswer {
  state_id: string;
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
  };
}

export async function chatAnswer(
  response: Promise<Response>,
): Promise<ChatAnswer & { headers: Headers }> {
  const { status, headers, ...answer } = await response.then(async (response) => ({
    status: response.status,
    headers: response.headers,
    ...await response.json(),
  }));
  assert.equal(status, 200, JSON.stringify(answer));
  return { ...answer, headers };
}

export function costOf({ usage }: ChatAnswer): number {
  const { prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens } } = usage;
  return prompt_tokens - cached_tokens + completion_tokens;
}

/** Returns the rate limit headers of a kind: limit, remaining, reset. */
export function rateHeaders(
  { headers }: { headers: Headers },
  kind: "requests" | "tokens",
): (string | null)[] {
  return ["limit", "remaining", "reset"].map((what) => headers.get(`x-ratelimit-${what}-${kind}`));
}

export async function rejections(it: TenantApp, limit: string): Promise<number> {
  const text = await (await it.app.request("/metrics", {
    headers: { authorization: "Bearer token" },
  })).text();
  return Number(text.match(new RegExp(`limit_rejections_total\\{limit="${limit}"\\} (\\d+)`))![1]);
}
