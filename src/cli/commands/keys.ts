/** `keys`: makes, lists and revokes API keys, in a store or in a file of their hashes. */

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
import { type Flags, text, usageError } from "../../settings/flags.ts";
import { KV_FLAG, TENANT_FLAG } from "../../settings/settings.ts";

/** A key as it is listed. */
interface ListedKey {
  id: string;
  tenant: string;
  /** Epoch milliseconds; `null` where it is not known. */
  created: number | null;
  /** Its own bounds. */
  limits: KeyLimits;
}

/** Where keys are kept. */
interface KeyPlace {
  create(tenant: string, limits: KeyLimits): Promise<{ text: string; key: ListedKey }>;
  list(): Promise<ListedKey[]>;
  revoke(id: string): Promise<ListedKey>;
  close(): void;
}

interface Asked {
  tenant: string;
  limits: KeyLimits;
  /** Whether a program reads what comes out. */
  json: boolean;
}

interface Action {
  usage: string;
  positionals: number;
  /** Whether there may be no keys yet, nor a place for them. */
  begins: boolean;
  run(place: KeyPlace, args: readonly string[], asked: Asked): Promise<void>;
}

const ACTIONS: Record<string, Action> = {
  create: { usage: "create", positionals: 0, begins: true, run: create },
  ls: { usage: "ls", positionals: 0, begins: false, run: list },
  revoke: { usage: "revoke ID", positionals: 1, begins: false, run: revoke },
};

export const keys: Command = {
  name: "keys",
  summary: "Makes, lists and revokes API keys, each of a tenant",
  details: [
    "create prints a new key, once: only its hash is kept. A tenant may have several keys, and sees " +
    "no other tenant's conversations. Workers that run take a new key, and stop taking a revoked " +
    "one, within 10 seconds; with the first key, every request needs one.",
    "A key may have bounds of its own, in place of those that serve has for all. What is counted by " +
    "the minute, and what is stored, is all that its tenant uses, with whichever key.",
  ],
  examples: [
    "keys create --tenant acme",
    "keys create --tenant acme --requests-per-minute 60",
    "keys ls",
    "keys revoke key_0123456789abcdef",
    "keys create --tenant acme --file keys.txt   # for serve --keys keys.txt",
  ],
  positional: Object.values(ACTIONS).map(({ usage }) => usage).join(" | "),
  words: Object.keys(ACTIONS),
  flags: {
    ...KV_FLAG,
    file: { type: "string", value: "FILE", help: "a file of keys, in place of the store" },
    tenant: { ...TENANT_FLAG.tenant, help: "create: whose the key is" },
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
    const file = text(flags, "file");
    const place = file === undefined ? await storePlace(flags, action) : filePlace(file, action);
    try {
      await action.run(place, args, { tenant, limits, json: flags.json === true });
    } finally {
      place.close();
    }
  },
};

async function create(
  place: KeyPlace,
  _: readonly string[],
  { tenant, limits, json }: Asked,
): Promise<void> {
  const { text: made, key } = await place.create(tenant, limits);
  if (json) return await printJson({ ...key, key: made });
  console.error(`Key ${key.id} of tenant ${tenant}. It is not shown again.`);
  await printText(`${made}\n`);
}

async function list(place: KeyPlace, _: readonly string[], { json }: Asked): Promise<void> {
  const listed = await place.list();
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

async function revoke(place: KeyPlace, [id]: readonly string[], { json }: Asked): Promise<void> {
  const gone = await place.revoke(id);
  if (json) return await printJson({ revoked: gone });
  await printText(`${gone.id} of tenant ${gone.tenant} is revoked\n`);
}

async function storePlace(flags: Flags, { begins }: Action): Promise<KeyPlace> {
  const open = begins ? openBackend : openExistingBackend;
  const backend = await open(kvFlag(flags));
  const stored = new ApiKeys({ backend, now: Date.now, random: randomBytes });
  const listed = ({ id, tenant, created, limits = {} }: ApiKeyRecord): ListedKey => (
    { id, tenant, created, limits }
  );
  return {
    create: async (tenant, limits) => {
      const own = formatLimits(limits).length === 0 ? {} : { limits };
      const { text, record } = await stored.create(tenant, own);
      return { text, key: listed(record) };
    },
    list: async () => (await stored.list()).map(listed),
    revoke: async (id) => listed(await stored.revoke(id)),
    close: () => backend.close(),
  };
}

/** A file is replaced as a whole, so that a worker never reads half of it. */
function filePlace(path: string, { begins }: Action): KeyPlace {
  const read = async () => {
    try {
      return await Deno.readTextFile(path);
    } catch (cause) {
      if (begins && cause instanceof Deno.errors.NotFound) return "";
      const message = `Cannot read the keys in ${path}: ${(cause as Error).message}`;
      throw new InferenceError("file_error", message, { cause, param: "file" });
    }
  };
  // Read under the lock of the one who writes, so that of two nobody's key is lost.
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
        const begun = before === "" || before.endsWith("\n") ? before : `${before}\n`;
        const created = Date.now();
        const comment = `${keyId(hash)}, ${new Date(created).toISOString()}`;
        const line = `${keyLine({ tenant, hash, limits })}  # ${comment}\n`;
        return [begun + line, { text, key: { id: keyId(hash), tenant, created, limits } }];
      }),
    list: async () => parseKeyFile(await read(), path).map(listed),
    revoke: (id) =>
      change(async (before) => {
        await Promise.resolve();
        const lines = before.split("\n");
        const gone = lines.map(idOf).find((key) => key?.id === id);
        if (!gone) throw noSuchKey(id);
        return [lines.filter((line) => idOf(line)?.id !== id).join("\n"), gone];
      }),
    close: () => {},
  };
}
