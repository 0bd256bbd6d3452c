/** An app with API keys and the toy model, and requests of its tenants. */

import type { Hono } from "hono";
import { type AppOptions, createApp } from "../../routes/app.ts";
import { KeyAuth } from "../../src/access/key_auth.ts";
import { fixedKeys } from "../../src/access/key_source.ts";
import { Account } from "../../src/access/account.ts";
import { openUsageTracker, type UsageTrackerOptions } from "../../src/access/usage_tracker.ts";
import { Metrics } from "../../src/server/metrics.ts";
import { Sessions } from "../../src/session/sessions.ts";
import { TenantSessions } from "../../src/session/tenant_sessions.ts";
import { hashKey } from "../../src/store/keys/api_key_text.ts";
import { BlobCache } from "../../src/store/states/blob_cache.ts";
import type { Backend } from "../../src/store/backends/backend.ts";
import type { KeyLimits } from "../../src/store/keys/key_limits.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { type StateChange, StateStore } from "../../src/store/states/state_store.ts";
import { MODEL, tokenizer, ToyRunner, type ToyRunnerOptions } from "../session/fixtures.ts";
import { withDocumentCheck } from "./documented.ts";
import { DETAILS, STORE } from "./fixtures.ts";

export interface TenantApp {
  app: Hono;
  tenants: TenantSessions;
  /** All log entries. */
  logged: string[];
  runner: ToyRunner;
}

/** An additional key. Its text is its name and `-key`. */
export interface NamedKey {
  name: string;
  tenant: string;
  limits?: KeyLimits;
}

export interface TenantAppOptions extends Partial<AppOptions> {
  keys?: readonly NamedKey[];
  /** Options of the usage tracker; without them, no limits apply. */
  limits?: Omit<UsageTrackerOptions, "backend">;
  backend?: Backend;
  model?: ToyRunnerOptions;
}

/** Creates an app in which each tenant's key is its name and `-key`. */
export async function tenantApp(
  names: readonly string[],
  { keys: more = [], limits, model, backend = new MemoryBackend(), ...options }: TenantAppOptions =
    {},
): Promise<TenantApp> {
  const runner = new ToyRunner(model);
  const cache = new BlobCache(1e6);
  const metrics = new Metrics();
  const usage = limits && openUsageTracker({ backend, telemetry: metrics, ...limits });
  const tenants = new TenantSessions({
    open: (tenant, activeTurns) => {
      const onChange = (change: StateChange) => usage?.stored.changed(tenant, change);
      const { now } = limits ?? {};
      const store = new StateStore(backend, { tenant, cache, telemetry: metrics, onChange, now });
      const parts = { runner, store, tokenizer, model: MODEL, activeTurns, telemetry: metrics };
      return new Sessions(parts);
    },
  });
  const keys = await Promise.all(
    [...names.map((name): NamedKey => ({ name, tenant: name })), ...more]
      .map(async ({ name, ...key }) => ({ ...key, hash: await hashKey(`${name}-key`) })),
  );
  const sources = [fixedKeys(keys)];
  const auth = new KeyAuth({ sources, keylessAccess: "no-keys", now: () => performance.now() });
  const logged: string[] = [];
  const app = createApp({
    worker: {
      state: "ready",
      reason: null,
      ready: Promise.resolve(tenants),
      details: DETAILS,
      store: STORE,
    },
    auth: auth,
    openAccount: usage && ((caller) => new Account(caller, usage)),
    metrics,
    onResponse: (answered) => metrics.observeResponse(answered),
    log: (message, error) => logged.push(`${message} ${error instanceof Error && error.stack}`),
    ...options,
  });
  return { app: withDocumentCheck(app), tenants, logged, runner };
}

export interface Asked {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Sends a request of a tenant. */
export async function askAs(
  { app }: TenantApp,
  tenant: string | null,
  [path, { method = "POST", body, headers = {} }]: readonly [string, Asked],
): Promise<Response> {
  const authorization = tenant === null ? {} : { authorization: `Bearer ${tenant}-key` };
  return await app.request(path, {
    method,
    headers: { ...authorization, ...headers },
    ...(body === undefined
      ? {}
      : { body: body instanceof Uint8Array ? body as BodyInit : JSON.stringify(body) }),
  });
}
