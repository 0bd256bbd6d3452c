/** Where a worker's keys are, as a command line and the environment say, and who may do without. */

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
import { CLI_COMMAND, type Flags, text, usageError } from "../settings/flags.ts";

/** Only in the environment: arguments are seen by everybody on a machine. */
const KEYS_VARIABLE = "RWKV_API_KEYS";
const METRICS_VARIABLE = "RWKV_METRICS_TOKEN";

/** Milliseconds that a start waits to be told whether the store has keys. */
const START_MS = 3_000;

/** What `serve` tells of variables that have no flag. */
export const KEY_HELP = [
  `${KEYS_VARIABLE} holds keys as tenant:key, with commas between; ${METRICS_VARIABLE} is what ` +
  "/metrics is asked with, which a worker with keys needs for it.",
];

export interface OpenAccessOptions {
  /** The store, once it is open. */
  backend: Promise<Backend>;
  /** A variable of the environment. */
  env: (name: string) => string | undefined;
  /** The address that is listened on. */
  hostname: string;
}

/** Who may ask a worker. */
export interface OpenedAccess {
  access: KeyAuth;
  metricsToken: string | undefined;
  /**
   * Resolves when it may serve.
   *
   * @throws InferenceError `usage` where keys are wrong, or everybody could reach it and none needs
   * one; `file_error` for keys that can't be read
   */
  validate: (log: Logger) => Promise<void>;
}

/** Keys of the environment, of a file, and of the store. */
export function openAccess(
  flags: Flags,
  { backend, env, hostname }: OpenAccessOptions,
): OpenedAccess {
  const variable = parseKeyVariable(env(KEYS_VARIABLE) ?? "", KEYS_VARIABLE).then(fixedKeys);
  variable.catch(() => {}); // told by whoever asks
  const keys = backend.then((backend) =>
    new ApiKeys({ backend, now: Date.now, random: randomBytes })
  );
  keys.catch(() => {});
  const sources: KeySource[] = [
    sourceOf(variable),
    ...fileOf(text(flags, "keys")),
    sourceOf(keys),
  ];
  const openness = opennessOf(flags, hostname);
  const access = new KeyAuth({ sources, keylessAccess: openness, now: () => performance.now() });
  return {
    access,
    metricsToken: env(METRICS_VARIABLE) || undefined,
    validate: async (log) => {
      await variable;
      const path = text(flags, "keys");
      // The same faults as later, while somebody is there to see to them.
      if (path !== undefined) await fileOf(path)[0].find("");
      if (openness !== "no-keys" && await mayLackKeys(access)) {
        if (openness === "never") throw unguarded(hostname);
        log.warn(`There are no keys: whoever reaches ${hostname} may use this worker`);
      }
    },
  };
}

function opennessOf(flags: Flags, hostname: string): KeylessAccess {
  if (flags.open) return "no-known-keys";
  return isLoopback(hostname) ? "no-keys" : "never";
}

function sourceOf(source: Promise<KeySource>): KeySource {
  return {
    find: async (hash) => await (await source).find(hash),
    any: async () => await (await source).any(),
  };
}

/** A source for the file, if there is one. */
function fileOf(path: string | undefined): KeySource[] {
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

/** Whether it is known that there is no key; a store that can't be asked may have some. */
async function mayLackKeys(access: KeyAuth): Promise<boolean> {
  try {
    return !await withTimeout(access.hasKeys(), START_MS);
  } catch {
    return false;
  }
}

function unguarded(hostname: string): InferenceError {
  return usageError(
    `Cannot serve on ${hostname} without keys: other machines could use this worker; make a key ` +
      `with \`${CLI_COMMAND} keys create\`, or let everybody in with --open (RWKV_OPEN=1)`,
  );
}
