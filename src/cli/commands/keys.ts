/** `keys`: creates, lists and revokes API keys, in the store or in a file of hashed keys. */

import { InferenceError } from "../../core/errors.ts";
import { DEFAULT_TENANT } from "../../core/tenant.ts";
import { keyLine, parseKeyFile } from "../../access/key_list.ts";
import type { ListedKey as KeyOfList } from "../../access/key_source.ts";
import { hashKey, keyId, newKeyText } from "../../store/keys/api_key_text.ts";
import { type ApiKeyRecord, ApiKeys, noSuchKey } from "../../store/keys/api_keys.ts";
import { formatLimits, type KeyLimits } from "../../store/keys/key_limits.ts";
import { randomBytes } from "../../store/states/state_id.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { writeFileAtomic } from "../../model_files/file_sink.ts";
import { KEY_LIMIT_FLAGS, limitFlags } from "../../server/limit_settings.ts";
import { kvFlag, openBackend, openExistingBackend, tenantFlag } from "../../server/open_store.ts";
import { formatTable } from "../output/table_text.ts";
import { printJson, printText } from "../output/print.ts";
import { type Flags, stringFlag, usageError } from "../../settings/flags.ts";
import { KV_FLAG, TENANT_FLAG } from "../../settings/settings.ts";

/** An entry of `keys ls`. */
interface ListedKey {
  id: string;
  tenant: string;
  /** Epoch milliseconds, or `null` if unknown. */
  created: number | null;
  /** Limits of this key only. */
  limits: KeyLimits;
}

/** Storage of keys. */
interface KeyStorage {
  create(tenant: string, limits: KeyLimits): Promise<{ text: string; key: ListedKey }>;
  list(): Promise<ListedKey[]>;
  revoke(id: string): Promise<ListedKey>;
  close(): void;
}

interface KeyOptions {
  tenant: string;
  limits: KeyLimits;
  /** Whether to print JSON. */
  json: boolean;
}

interface Action {
  usage: string;
  positionals: number;
  /** Whether the action may create the storage. */
  createsStorage: boolean;
  run(storage: KeyStorage, args: readonly string[], options: KeyOptions): Promise<void>;
}

const ACTIONS: Record<string, Action> = {
  create: { usage: "create", positionals: 0, createsStorage: true, run: create },
  ls: { usage: "ls", positionals: 0, createsStorage: false, run: list },
  revoke: { usage: "revoke ID", positionals: 1, createsStorage: false, run: revoke },
};

export const keys: Command = {
  name: "keys",
  summary: "Creates, lists and revokes the API keys of tenants",
  details: [
    "create prints a new key only once, because only its hash is stored. A tenant can have several " +
    "keys, and cannot access the conversations of other tenants. Running workers accept a new key " +
    "and reject a revoked one within 10 seconds. Once a key exists, every request needs one.",
    "A key can have its own limits, which replace those of serve. Requests and tokens per minute " +
    "and stored bytes are counted per tenant, over all of its keys.",
  ],
  examples: [
    "keys create --tenant acme",
    "keys create --tenant acme --requests-per-minute 60",
    "keys ls",
    "keys revoke key_0123456789abcdef",
    "keys create --tenant acme --file keys.txt   # for serve --keys keys.txt",
  ],
  positional: Object.values(ACTIONS).map(({ usage }) => usage).join(" | "),
  positionalChoices: Object.keys(ACTIONS),
  flags: {
    ...KV_FLAG,
    file: { type: "string", placeholder: "FILE", help: "key file to use instead of the store" },
    tenant: { ...TENANT_FLAG.tenant, help: "create: tenant of the key" },
    ...KEY_LIMIT_FLAGS,
    ...JSON_FLAG,
  },
  run: async (flags, [name = "", ...args]) => {
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (!action) {
      const what = name === "" ? "no action is given" : `there is no action "${name}"`;
      throw usageError(`Cannot run keys: ${what}; the usage is keys ${keys.positional}`);
    }
    if (args.length !== action.positionals) {
      throw usageError(
        `Cannot use ${args.length} arguments after ${name}: the usage is keys ${action.usage}`,
      );
    }
    const tenant = tenantFlag(flags) ?? DEFAULT_TENANT;
    const limits = limitFlags(flags);
    const file = stringFlag(flags, "file");
    const storage = file === undefined
      ? await openKeyStore(flags, action)
      : openKeyFile(file, action);
    try {
      await action.run(storage, args, { tenant, limits, json: flags.json === true });
    } finally {
      storage.close();
    }
  },
};

async function create(
  storage: KeyStorage,
  _: readonly string[],
  { tenant, limits, json }: KeyOptions,
): Promise<void> {
  const { text, key } = await storage.create(tenant, limits);
  if (json) return await printJson({ ...key, key: text });
  console.error(`Created key ${key.id} of tenant ${tenant}. It will not be shown again.`);
  await printText(`${text}\n`);
}

async function list(
  storage: KeyStorage,
  _: readonly string[],
  { json }: KeyOptions,
): Promise<void> {
  const listed = await storage.list();
  if (json) return await printJson({ keys: listed });
  if (listed.length === 0) return await printText("There are no keys.\n");
  const rows = listed.map(({ id, tenant, created, limits }) => [
    id,
    tenant,
    created === null ? "" : new Date(created).toISOString(),
    formatLimits(limits).join(" "),
  ]);
  await printText(formatTable([["ID", "TENANT", "CREATED", "LIMITS"], ...rows]));
}

async function revoke(
  storage: KeyStorage,
  [id]: readonly string[],
  { json }: KeyOptions,
): Promise<void> {
  const revoked = await storage.revoke(id);
  if (json) return await printJson({ revoked });
  await printText(`Revoked ${revoked.id} of tenant ${revoked.tenant}\n`);
}

async function openKeyStore(flags: Flags, { createsStorage }: Action): Promise<KeyStorage> {
  const open = createsStorage ? openBackend : openExistingBackend;
  const backend = await open(kvFlag(flags));
  const stored = new ApiKeys({ backend, now: Date.now, random: randomBytes });
  const listed = ({ id, tenant, created, limits = {} }: ApiKeyRecord): ListedKey => (
    { id, tenant, created, limits }
  );
  return {
    create: async (tenant, limits) => {
      const ownLimits = formatLimits(limits).length === 0 ? {} : { limits };
      const { text, record } = await stored.create(tenant, ownLimits);
      return { text, key: listed(record) };
    },
    list: async () => (await stored.list()).map(listed),
    revoke: async (id) => listed(await stored.revoke(id)),
    close: () => backend.close(),
  };
}

/** Replaces the file atomically, so that a worker never reads a partial file. */
function openKeyFile(path: string, { createsStorage }: Action): KeyStorage {
  const read = async () => {
    try {
      return await Deno.readTextFile(path);
    } catch (cause) {
      if (createsStorage && cause instanceof Deno.errors.NotFound) return "";
      const message = `Cannot read the keys in ${path}: ${(cause as Error).message}`;
      throw new InferenceError("file_error", message, { cause, param: "file" });
    }
  };
  // Read under the write lock, so that concurrent changes do not overwrite each other.
  const change = <T>(to: (before: string) => Promise<[after: string, T]>) =>
    writeFileAtomic(path, async (sink) => {
      const [after, result] = await to(await read());
      await sink.write(0, new TextEncoder().encode(after));
      return result;
    }, { mode: 0o600 });
  const listed = ({ tenant, hash, limits = {} }: KeyOfList): ListedKey => (
    { id: keyId(hash), tenant, created: null, limits }
  );
  const idOf = (line: string) => {
    const [key] = parseKeyFile(line, path);
    return key && listed(key);
  };
  return {
    create: (tenant, limits) =>
      change(async (before) => {
        parseKeyFile(before, path);
        const text = newKeyText(randomBytes);
        const hash = await hashKey(text);
        const prefix = before === "" || before.endsWith("\n") ? before : `${before}\n`;
        const created = Date.now();
        const comment = `${keyId(hash)}, ${new Date(created).toISOString()}`;
        const line = `${keyLine({ tenant, hash, limits })}  # ${comment}\n`;
        return [prefix + line, { text, key: { id: keyId(hash), tenant, created, limits } }];
      }),
    list: async () => parseKeyFile(await read(), path).map(listed),
    revoke: (id) =>
      change(async (before) => {
        await Promise.resolve();
        const lines = before.split("\n");
        const revoked = lines.map(idOf).find((key) => key?.id === id);
        if (!revoked) throw noSuchKey(id);
        return [lines.filter((line) => idOf(line)?.id !== id).join("\n"), revoked];
      }),
    close: () => {},
  };
}
