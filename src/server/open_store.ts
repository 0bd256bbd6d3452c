/** Opens the state store that a flag or the environment selects. */

import { isTenantName, TENANT_NAME_RULE } from "../core/tenant.ts";
import type { Backend } from "../store/backends/backend.ts";
import { type BackendOptions, openExistingStore, openStore } from "../store/backends/registry.ts";
import { MasterKeys } from "../store/encryption/master_keys.ts";
import { EncryptedBackend } from "../store/encryption/encrypted_backend.ts";
import { type Flags, stringFlag, usageError } from "../settings/flags.ts";
import { SETTINGS } from "../settings/settings.ts";

/** Returns `--tenant`, or undefined. */
export function tenantFlag(flags: Flags): string | undefined {
  const tenant = stringFlag(flags, "tenant");
  if (tenant === undefined || isTenantName(tenant)) return tenant;
  throw usageError(`Cannot use --tenant ${tenant}: a tenant's name has ${TENANT_NAME_RULE}`);
}

/** Returns `--kv`, or its default. */
export function kvFlag(flags: Flags): string {
  return stringFlag(flags, "kv") ?? SETTINGS.kv.defaultValue;
}

/** Environment variable with the keys that encrypt the store. */
const MASTER_KEY = "RWKV_MASTER_KEY";

/**
 * Opens a store, and creates it if it does not exist. Throws like `openStore` and
 * `MasterKeys.parse`.
 */
export async function openBackend(kv: string, options: BackendOptions = {}): Promise<Backend> {
  const keys = await masterKeys();
  return await encrypted(await openStore(kv, options), keys);
}

/** Opens an existing store. A misspelt path is an error and creates no file. */
export async function openExistingBackend(kv: string): Promise<Backend> {
  const keys = await masterKeys();
  return await encrypted(await openExistingStore(kv), keys);
}

async function encrypted(backend: Backend, keys: MasterKeys): Promise<Backend> {
  try {
    return await EncryptedBackend.over(backend, keys);
  } catch (error) {
    backend.close();
    throw error;
  }
}

/**
 * Opens an existing store without decryption, and returns the keys to encrypt it with.
 *
 * @throws InferenceError `usage` if there are no keys
 */
export async function openForEncryption(kv: string): Promise<{ rows: Backend; keys: MasterKeys }> {
  const keys = await masterKeys();
  if (keys.current === null) {
    throw usageError(
      `Cannot encrypt ${kv}: set ${MASTER_KEY} to a master key, which \`openssl rand -base64 32\` ` +
        "generates, and store the key safely: the data cannot be read without it",
    );
  }
  return { rows: await openExistingStore(kv), keys };
}

async function masterKeys(): Promise<MasterKeys> {
  const text = Deno.env.get(MASTER_KEY)?.trim();
  return text ? await MasterKeys.parse(text) : MasterKeys.NONE;
}
