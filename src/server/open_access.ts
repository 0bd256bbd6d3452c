/**
 * Configures authentication from flags and the environment: the key sources, and whether requests
 * without a key are accepted.
 */

import { isLoopback } from "../../routes/middleware/guard.ts";
import { KeyAuth, type KeylessAccess } from "../access/key_auth.ts";
import { keyFile } from "../access/key_file.ts";
import { parseKeyVariable } from "../access/key_list.ts";
import { fixedKeys, type KeySource } from "../access/key_source.ts";
import { InferenceError } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { ApiKeys } from "../store/keys/api_keys.ts";
import type { Backend } from "../store/backends/backend.ts";
import { withTimeout } from "../store/backends/reconnecting_client.ts";
import { randomBytes } from "../store/states/state_id.ts";
import { CLI_COMMAND, type Flags, stringFlag, usageError } from "../settings/flags.ts";

/** Not flags, because every user of a machine can see the arguments of a process. */
const KEYS_VARIABLE = "RWKV_API_KEYS";
const METRICS_VARIABLE = "RWKV_METRICS_TOKEN";

/** Milliseconds that startup waits for the store to report whether it has keys. */
const START_MS = 3_000;

/** Help of `serve` for environment variables without a flag. */
export const KEY_HELP = [
  `${KEYS_VARIABLE} is a comma-separated list of keys, each as tenant:key. ${METRICS_VARIABLE} is ` +
  "the bearer token for /metrics, which a worker with keys requires.",
];

export interface OpenAccessOptions {
  /** Resolves when the store is open. */
  backend: Promise<Backend>;
  /** Reads an environment variable. */
  env: (name: string) => string | undefined;
  /** The address that the server listens on. */
  hostname: string;
}

/** Authentication of a worker. */
export interface OpenedAccess {
  access: KeyAuth;
  metricsToken: string | undefined;
  /**
   * Resolves when the worker may serve.
   *
   * @throws InferenceError `usage` if a key is invalid, or if other machines can reach the worker
   * and no key is required; `file_error` if the key file cannot be read
   */
  validate: (log: Logger) => Promise<void>;
}

/** Combines the keys of the environment, of the key file, and of the store. */
export function openAccess(
  flags: Flags,
  { backend, env, hostname }: OpenAccessOptions,
): OpenedAccess {
  const variable = parseKeyVariable(env(KEYS_VARIABLE) ?? "", KEYS_VARIABLE).then(fixedKeys);
  variable.catch(() => {}); // `validate` and lookups report this failure.
  const keys = backend.then((backend) =>
    new ApiKeys({ backend, now: Date.now, random: randomBytes })
  );
  keys.catch(() => {});
  const sources: KeySource[] = [
    deferredSource(variable),
    ...keyFileSources(stringFlag(flags, "keys")),
    deferredSource(keys),
  ];
  const keylessAccess = keylessAccessOf(flags, hostname);
  const access = new KeyAuth({ sources, keylessAccess, now: () => performance.now() });
  return {
    access,
    metricsToken: env(METRICS_VARIABLE) || undefined,
    validate: async (log) => {
      await variable;
      const path = stringFlag(flags, "keys");
      // Report errors in the key file at startup rather than with the first request.
      if (path !== undefined) await keyFileSources(path)[0].find("");
      if (keylessAccess !== "no-keys" && await hasNoKeys(access)) {
        if (keylessAccess === "never") throw keysRequiredError(hostname);
        log.warn(`No API key exists: every client that reaches ${hostname} can use this worker`);
      }
    },
  };
}

function keylessAccessOf(flags: Flags, hostname: string): KeylessAccess {
  if (flags.open) return "no-known-keys";
  return isLoopback(hostname) ? "no-keys" : "never";
}

function deferredSource(source: Promise<KeySource>): KeySource {
  return {
    find: async (hash) => await (await source).find(hash),
    any: async () => await (await source).any(),
  };
}

/** Returns a source for the key file, if there is one. */
function keyFileSources(path: string | undefined): KeySource[] {
  if (path === undefined) return [];
  const read = async () => {
    try {
      return await Deno.readTextFile(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      const message = `Cannot read the keys in ${path}: ${(cause as Error).message}`;
      throw new InferenceError("file_error", message, { cause, param: "keys" });
    }
  };
  return [keyFile({ name: path, read, now: () => performance.now() })];
}

/** Returns whether no key exists. A store that cannot be read counts as having keys. */
async function hasNoKeys(access: KeyAuth): Promise<boolean> {
  try {
    return !await withTimeout(access.hasKeys(), START_MS);
  } catch {
    return false;
  }
}

function keysRequiredError(hostname: string): InferenceError {
  return usageError(
    `Cannot serve on ${hostname} without keys: other machines could use this worker; create a key ` +
      `with \`${CLI_COMMAND} keys create\`, or allow access without keys with --open (RWKV_OPEN=1)`,
  );
}
