/** `state`: lists, shows, exports, imports and removes the states of a store. */

import { readFile } from "node:fs/promises";
import { describeState } from "../../session/transcript.ts";
import { exportState, importState } from "../../session/state_transfer.ts";
import type { Backend } from "../../store/backends/backend.ts";
import { collectAllGarbage, collectGarbage, GRACE_MS } from "../../store/states/gc.ts";
import { StateStore } from "../../store/states/state_store.ts";
import { recordTenant } from "../../store/tenants.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { writeFileAtomic } from "../../model_files/file_sink.ts";
import { encryptCommand } from "./state_encrypt.ts";
import { listNewestStates } from "./state_list.ts";
import { formatGarbage, formatState, formatStateTable } from "./state_text.ts";
import { kvFlag, openExistingBackend, tenantFlag } from "../../server/open_store.ts";
import { printJson, printText } from "../output/print.ts";
import { type Flags, numberFlag, usageError } from "../../settings/flags.ts";
import { KV_FLAG, TENANT_FLAG } from "../../settings/settings.ts";

/** An action of `state`. */
interface Action {
  usage: string;
  minArguments: number;
  maxArguments: number;
  /** Runs with an open store. */
  run?(backend: Backend, args: readonly string[], flags: Flags): Promise<void>;
  /** Runs without an open store and opens it differently. */
  runClosed?(flags: Flags): Promise<void>;
}

const ACTIONS: Record<string, Action> = {
  ls: { usage: "ls", minArguments: 0, maxArguments: 0, run: list },
  show: { usage: "show ID", minArguments: 1, maxArguments: 1, run: show },
  export: { usage: "export ID [FILE]", minArguments: 1, maxArguments: 2, run: exportFile },
  import: { usage: "import FILE", minArguments: 1, maxArguments: 1, run: importFile },
  rm: { usage: "rm ID...", minArguments: 1, maxArguments: Infinity, run: remove },
  gc: { usage: "gc", minArguments: 0, maxArguments: 0, run: collect },
  encrypt: { usage: "encrypt", minArguments: 0, maxArguments: 0, runClosed: encryptCommand },
};

export const state: Command = {
  name: "state",
  summary: "Lists, shows, exports, imports and removes stored states",
  details: [
    "Actions: ls lists the newest states, show prints a state with its transcript, export writes " +
    "a state to a file (- is stdout), import reads such a file and assigns a new id, rm removes " +
    "states, gc removes data that no state references, of all tenants by default.",
    "encrypt encrypts a store that has plaintext values with RWKV_MASTER_KEY. Stop its workers " +
    "first; if it is interrupted, run it again.",
  ],
  examples: [
    "state ls --limit 20",
    "state ls --tenant acme",
    "state show state_0123",
    "state export state_0123 talk.rwkvstate",
    "state import talk.rwkvstate",
    "state rm state_0123 state_4567",
    "state gc --dry-run",
    "state encrypt   # with RWKV_MASTER_KEY set",
  ],
  positional: Object.values(ACTIONS).map(({ usage }) => usage).join(" | "),
  positionalChoices: Object.keys(ACTIONS),
  flags: {
    ...KV_FLAG,
    tenant: {
      ...TENANT_FLAG.tenant,
      defaultText: `${TENANT_FLAG.tenant.defaultValue}; for gc, all`,
    },
    limit: {
      type: "string",
      placeholder: "N",
      help: "ls: maximum number of states, newest first",
      defaultValue: "100",
    },
    "older-than": {
      type: "string",
      placeholder: "S",
      help: "gc: keep data that was created or has expired in the last S seconds",
      defaultValue: `${GRACE_MS / 1000}`,
    },
    "dry-run": { type: "boolean", help: "gc: print what would be removed, and remove nothing" },
    "trust-plaintext": {
      type: "boolean",
      help: "encrypt: accept plaintext values in a partly encrypted store",
    },
    "remove-unreadable": {
      type: "boolean",
      help: "encrypt: remove states that cannot be read instead of failing",
    },
    ...JSON_FLAG,
  },
  run: async (flags, [name = "", ...args]) => {
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (!action) {
      const what = name === "" ? "no action is given" : `there is no action "${name}"`;
      throw usageError(`Cannot run state: ${what}; the usage is state ${state.positional}`);
    }
    if (args.length < action.minArguments || args.length > action.maxArguments) {
      throw usageError(
        `Cannot use ${args.length} arguments after ${name}: the usage is state ${action.usage}`,
      );
    }
    if (action.runClosed) return await action.runClosed(flags);
    const backend = await openExistingBackend(kvFlag(flags));
    try {
      await action.run?.(backend, args, flags);
    } finally {
      backend.close();
    }
  },
};

async function list(backend: Backend, _: readonly string[], flags: Flags): Promise<void> {
  const limit = numberFlag(flags, "limit", { min: 1, max: 1e6, integer: true }) ?? 100;
  const { states, total } = await listNewestStates(backend, { limit, tenant: tenantFlag(flags) });
  if (flags.json) return await printJson({ states, total });
  await printText(formatStateTable(states, { total, now: Date.now() }));
}

async function show(backend: Backend, [id]: readonly string[], flags: Flags): Promise<void> {
  const description = await describeState(storeOf(backend, flags), id, {
    limit: Infinity,
    maxBytes: Infinity,
  });
  if (flags.json) return await printJson(description);
  await printText(formatState(description, Date.now()));
}

async function exportFile(
  backend: Backend,
  [id, path]: readonly string[],
  flags: Flags,
): Promise<void> {
  const { name, bytes, parts } = await exportState(storeOf(backend, flags), id);
  if (path === "-") {
    if (flags.json) throw usageError("Cannot use --json with -: stdout is used for the file");
    for (const part of parts) await writeAll(part);
    return;
  }
  const file = path ?? name;
  await writeFileAtomic(file, async (sink) => {
    let at = 0;
    for (const part of parts) {
      await sink.write(at, part);
      at += part.length;
    }
  });
  if (flags.json) return await printJson({ id, file, bytes });
  await printText(`${file}\n`);
}

async function importFile(backend: Backend, [path]: readonly string[], flags: Flags) {
  const chunks = path === "-" ? Deno.stdin.readable : chunked(await readFile(path));
  const tenant = tenantFlag(flags);
  if (tenant !== undefined) await recordTenant(backend, tenant);
  const store = storeOf(backend, flags);
  const id = await importState(chunks, { store, model: null });
  if (flags.json) return await printJson({ id });
  await printText(`${id}\n`);
}

async function remove(backend: Backend, ids: readonly string[], flags: Flags): Promise<void> {
  const store = storeOf(backend, flags);
  for (const id of ids) await store.delete(id);
  if (flags.json) return await printJson({ deleted: ids });
  await printText(`${ids.length} removed\n`);
}

async function collect(backend: Backend, _: readonly string[], flags: Flags): Promise<void> {
  const seconds = numberFlag(flags, "older-than", { min: 0, max: 1e9 });
  const dryRun = flags["dry-run"] === true;
  const olderThan = seconds === undefined ? undefined : 1000 * seconds;
  const tenant = tenantFlag(flags);
  const garbage = tenant === undefined
    ? await collectAllGarbage(backend, { olderThan, dryRun })
    : await collectGarbage(backend, { olderThan, dryRun, tenant });
  if (flags.json) return await printJson({ dry_run: dryRun, ...garbage });
  await printText(formatGarbage(garbage, dryRun));
}

function storeOf(backend: Backend, flags: Flags): StateStore {
  return new StateStore(backend, { tenant: tenantFlag(flags) });
}

async function* chunked(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}
