/** A disk without room: what is stored can be read, nothing is stored by half, and there is a remedy. */

import assert from "node:assert/strict";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { rejects } from "../../session/fixtures.ts";
import { content, MODEL, pattern, withTempFolder } from "../../store/fixtures.ts";

const LENGTH = 300_000;

/** Blocks of 1024 bytes that a file may have. */
const BLOCKS = 3_000;

interface Told {
  word: "saved" | "failed" | "loaded";
  what: { id: string; seed?: number; whole?: boolean; code?: string; message?: string };
}

/** Runs the writer where no file can grow beyond a size, which for SQLite is a disk that fails. */
async function writeUntilFull(path: string): Promise<Told[]> {
  const script = new URL("./full_disk_writer.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      `trap '' XFSZ; ulimit -f ${BLOCKS}; exec "$@"`,
      "bash",
      Deno.execPath(),
      ...["run", "--quiet", "--unstable-kv", "-A", script, path, String(LENGTH)],
    ],
  }).output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
}

Deno.test("a store without room for more keeps what it has, whole, and says what to do", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kv.sqlite`;
    const told = await writeUntilFull(path);
    const of = (wanted: Told["word"]) =>
      told.filter(({ word }) => word === wanted).map(({ what }) => what);
    const saved = of("saved");
    assert.ok(saved.length >= 3, `only ${saved.length} were saved`);
    assert.equal(of("failed").length, 3);
    for (const { code, message } of of("failed")) {
      assert.equal(code, "store_unavailable");
      assert.ok(message!.includes(path), message!);
      assert.match(message!, /(disk is full|disk I\/O error): .*free/);
    }
    // Reading goes on while nothing can be written.
    assert.deepEqual(of("loaded"), saved.map(({ id }) => ({ id, whole: true })));

    // With room again, all is there, nothing else is, and more can be stored.
    const backend = await DenoKvBackend.open(path);
    const store = new StateStore(backend);
    for (const { id, seed } of saved) {
      const { state } = await store.load(id, { model: MODEL });
      assert.deepEqual(state, pattern(LENGTH, seed!));
    }
    for (const { id } of of("failed")) {
      await rejects(store.load(id, { model: MODEL }), "state_not_found");
    }
    const id = store.newId();
    await store.save(content(99, { length: LENGTH }), { id, model: MODEL, parent: null });
    for (const one of [id, ...saved.map(({ id }) => id)]) await store.delete(one);
    assert.deepEqual(await Array.fromAsync(backend.list(["default", "state"])), []);
    backend.close();
  });
});
