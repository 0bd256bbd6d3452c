/** Where states are kept, as a command line or the environment says. */

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { isTenant, TENANT_RULE } from "../core/tenant.ts";
import type { Backend } from "../store/backends/backend.ts";
import { DenoKvBackend, type DenoKvOptions } from "../store/backends/deno_kv.ts";
import { MasterKeys } from "../store/encryption/master_keys.ts";
import { EncryptedBackend } from "../store/encryption/encrypted_backend.ts";
import { type Flags, text, usageError } from "../settings/flags.ts";
import { SETTINGS } from "../settings/settings.ts";

/** `--tenant`, or undefined. */
export function tenantOf(flags: Flags): string | undefined {
  const tenant = text(flags, "tenant");
  if (tenant === undefined || isTenant(tenant)) return tenant;
  throw usageError(`Cannot use --tenant ${tenant}: a tenant's name has ${TENANT_RULE}`);
}

export function kvOf(flags: Flags): string {
  return text(flags, "kv") ?? SETTINGS.kv.defaultValue;
}

/** What a store is, without saying where. */
export function kindOfStore(kv: string): "memory" | "file" | "server" {
  if (kv === ":memory:") return "memory";
  return isFile(kv) ? "file" : "server";
}

/** Holds the keys that the store is encrypted with, where it is. */
const MASTER_KEY = "RWKV_MASTER_KEY";

/**
 * Opens a store; a file that is not there is made. Throws as `DenoKvBackend.open` and
 * `MasterKeys.parse` do.
 */
export async function openBackend(
  kv: string,
  options: Pick<DenoKvOptions, "onChange" | "onRetry"> = {},
): Promise<Backend> {
  const keys = await masterKeys();
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
  return await encrypted(await DenoKvBackend.open(kv, options), keys);
}

/** Opens a store that somebody has made: a misspelt path is told, and no file left there. */
export async function openKnownBackend(kv: string): Promise<Backend> {
  const keys = await masterKeys();
  await assertExists(kv);
  return await encrypted(await DenoKvBackend.open(kv), keys);
}

async function encrypted(backend: Backend, keys: MasterKeys): Promise<Backend> {
  try {
    return await EncryptedBackend.over(backend, keys);
  } catch (error) {
    backend.close();
    throw error;
  }
}

async function assertExists(kv: string): Promise<void> {
  if (!isFile(kv)) return;
  await stat(kv).catch((cause) => {
    const message = `Cannot find states in ${kv}: there is no such file; --kv names the store`;
    throw new InferenceError("file_error", message, { cause, param: "kv" });
  });
}

/**
 * Opens a store that exists as it is, and the keys to encrypt it with.
 *
 * @throws InferenceError `usage` if there are none
 */
export async function openUnencrypted(kv: string): Promise<{ rows: Backend; keys: MasterKeys }> {
  const keys = await masterKeys();
  if (keys.sealing === null) {
    throw usageError(
      `Cannot encrypt ${kv}: set ${MASTER_KEY} to a master key, as \`openssl rand -base64 32\` ` +
        "prints, and keep it: without it nothing can be read any more",
    );
  }
  await assertExists(kv);
  return { rows: await DenoKvBackend.open(kv), keys };
}

async function masterKeys(): Promise<MasterKeys> {
  const text = Deno.env.get(MASTER_KEY)?.trim();
  return text ? await MasterKeys.parse(text) : MasterKeys.NONE;
}

function isFile(kv: string): boolean {
  return !/^https?:\/\//.test(kv) && kv !== ":memory:";
}
