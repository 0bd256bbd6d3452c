/**
 * `deno task bench:store`: write and read speed of states in a store.
 *
 * Flags: `--kv PATH|URL` (default: a temporary SQLite file), `--sizes 1,6.5,13,21.6` (MB),
 * `--rounds N` (9), `--json`. Times are in milliseconds. Measures `save` and `load` of a whole
 * state. Also measures its chunks alone: written in atomic operations of 12 chunks, sequentially or
 * 8 concurrently; read by one `list`, by `getMany` of 10 keys (8 concurrently), or by `list` of 32
 * chunks (8 concurrently).
 */

import { parseArgs } from "node:util";
import { type Spread, summarize } from "../src/benchmark/cases.ts";
import { mapConcurrent } from "../src/store/states/map_concurrent.ts";
import type { Key } from "../src/store/backends/backend.ts";
import { CHUNK_BYTES } from "../src/store/states/blobs.ts";
import { DenoKvBackend } from "../src/store/backends/deno_kv.ts";
import { StateStore } from "../src/store/states/state_store.ts";
import { numberFlag } from "../src/settings/flags.ts";

const MODEL = { id: "bench", fingerprint: "bench" };

const { values: flags } = parseArgs({
  options: {
    kv: { type: "string" },
    sizes: { type: "string", default: "1,6.5,13,21.6" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 9;
const folder = await Deno.makeTempDir();
const backend = await DenoKvBackend.open(flags.kv ?? `${folder}/states.sqlite3`);
const store = new StateStore(backend);

const rows: ({ megabytes: number } & Record<string, number | Spread>)[] = [];
for (const megabytes of flags.sizes.split(",").map(Number)) {
  const bytes = randomBytes(Math.round(megabytes * 1e6));
  const times: Record<string, number[]> = {};
  for (let round = -1; round < rounds; round++) {
    for (const [name, milliseconds] of Object.entries(await measure(bytes))) {
      // The first round is the warm-up.
      if (round >= 0) (times[name] ??= []).push(milliseconds);
    }
  }
  const spreads = Object.entries(times).map(([name, all]) => [name, summarize(all)] as const);
  rows.push({ megabytes, ...Object.fromEntries(spreads) });
}
if (flags.json) {
  console.log(JSON.stringify({ store: flags.kv ?? "SQLite", rounds, rows }));
} else {
  const names = Object.keys(rows[0]);
  console.log(`| ${names.join(" | ")} |\n|${"---|".repeat(names.length)}`);
  for (const row of rows) {
    const cells = Object.values(row).map((cell) => typeof cell === "number" ? cell : cell.median);
    console.log(`| ${cells.join(" | ")} |`);
  }
}
backend.close();
await Deno.remove(folder, { recursive: true });
// Otherwise Deno's KV client keeps the process alive.
Deno.exit();

/** Measures every operation once, in milliseconds. */
async function measure(state: Uint8Array): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  const time = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work();
    times[name] = performance.now() - start;
    return result;
  };
  const turn = new TextEncoder().encode("{}");
  const target = { id: store.newId(), model: MODEL, parent: null };
  const { id } = await time("save", () => store.save({ state, turn, open: false }, target));
  await time("load", () => store.load(id, { model: MODEL }));
  await store.delete(id);

  const keys = chunkKeys(state, crypto.randomUUID());
  await time("written_in_turn", () => write(state, keys, 1));
  const more = chunkKeys(state, crypto.randomUUID());
  await time("written_8_at_once", () => write(state, more, 8));
  await time("read_by_list", () => Array.fromAsync(backend.list(keys[0].slice(0, -1))));
  await time("read_by_get_many", () => readKeys(keys));
  await time("read_by_ranges", () => readRanges(keys));
  for (const written of [keys, more]) {
    await backend.atomic([], written.map((key) => ({ type: "delete", key })));
  }
  return times;
}

function chunkKeys(bytes: Uint8Array, id: string): Key[] {
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  return Array.from({ length: count }, (_, i) => ["bench", "blob", id, i]);
}

function write(bytes: Uint8Array, keys: readonly Key[], concurrency: number): Promise<void> {
  return mapConcurrent(multiples(12, keys.length), concurrency, async (first) => {
    await backend.atomic(
      [],
      keys.slice(first, first + 12).map((key, i) => {
        const start = (first + i) * CHUNK_BYTES;
        const value = bytes.subarray(start, start + CHUNK_BYTES);
        return { type: "set", key, value, expireIn: 3_600_000 };
      }),
    );
  });
}

function readKeys(keys: readonly Key[]): Promise<void> {
  return mapConcurrent(multiples(10, keys.length), 8, async (first) => {
    await backend.getMany(keys.slice(first, first + 10));
  });
}

function readRanges(keys: readonly Key[]): Promise<void> {
  return mapConcurrent(multiples(32, keys.length), 8, async (first) => {
    await Array.fromAsync(backend.list(keys[0].slice(0, -1), { range: [first, first + 32] }));
  });
}

/** Returns the multiples of `step` below `end`, from 0. */
function multiples(step: number, end: number): number[] {
  return Array.from({ length: Math.ceil(end / step) }, (_, i) => i * step);
}

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
  return bytes;
}
