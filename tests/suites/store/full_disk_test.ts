/** A full disk: stored states stay readable, failed writes leave nothing, and the error gives a remedy. */

import assert from "node:assert/strict";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { rejects } from "../../session/fixtures.ts";
import { content, MODEL, pattern, withTempFolder } from "../../store/fixtures.ts";

const LENGTH = 300_000;

/** Maximum file size in blocks of 1024 bytes. */
const BLOCKS = 3_000;

interface WriterEvent {
  event: "saved" | "failed" | "loaded";
  state: { id: string; seed?: number; whole?: boolean; code?: string; message?: string };
}

/** Runs the writer with a file size limit, which SQLite reports as a full or failing disk. */
async function writeUntilFull(path: string): Promise<WriterEvent[]> {
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

Deno.test("a full store keeps its states and reports a remedy", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kv.sqlite`;
    const events = await writeUntilFull(path);
    const statesOf = (wanted: WriterEvent["event"]) =>
      events.filter(({ event }) => event === wanted).map(({ state }) => state);
    const saved = statesOf("saved");
    assert.ok(saved.length >= 3, `only ${saved.length} were saved`);
    assert.equal(statesOf("failed").length, 3);
    for (const { code, message } of statesOf("failed")) {
      assert.equal(code, "store_unavailable");
      assert.ok(message!.includes(path), message!);
      assert.match(message!, /(disk is full|disk I\/O error); .*free/);
    }
    // Reads work while writes fail.
    assert.deepEqual(statesOf("loaded"), saved.map(({ id }) => ({ id, whole: true })));

    // With free space again, only the saved states exist, and new ones can be stored.
    const backend = await DenoKvBackend.open(path);
    const store = new StateStore(backend);
    for (const { id, seed } of saved) {
      const { state } = await store.load(id, { model: MODEL });
      assert.deepEqual(state, pattern(LENGTH, seed!));
    }
    for (const { id } of statesOf("failed")) {
      await rejects(store.load(id, { model: MODEL }), "state_not_found");
    }
    const id = store.newId();
    await store.save(content(99, { length: LENGTH }), { id, model: MODEL, parent: null });
    for (const one of [id, ...saved.map(({ id }) => id)]) await store.delete(one);
    assert.deepEqual(await Array.fromAsync(backend.list(["default", "state"])), []);
    backend.close();
  });
});
