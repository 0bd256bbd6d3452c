/** A process that crashes at any write leaves complete states or none. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import {
  content,
  DyingBackend,
  MODEL,
  pattern,
  ProcessDied,
  withTempFolder,
} from "../../store/fixtures.ts";

const LENGTH = 1_700_000; // 26 chunks, 3 batches

/** Loads a state, verifies that its state and turn match, and returns their seeds. */
async function seedOf(store: StateStore, id: string): Promise<{ state: number; turn: number }> {
  const { state, turn, open } = await store.load(id, { model: MODEL });
  const { seed } = JSON.parse(new TextDecoder().decode(turn));
  assert.deepEqual(state, pattern(LENGTH, state![0]));
  assert.equal(open, state![0] !== seed);
  return { state: state![0], turn: seed };
}

for (const after of [false, true]) {
  Deno.test(`crash ${after ? "after" : "before"} any write of begin and commit`, async () => {
    let finished = false;
    for (let writes = 0; !finished; writes++) {
      assert.ok(writes < 50);
      const data = new MemoryBackend();
      const reliable = new StateStore(data);
      const id = reliable.newId();
      const parent = await reliable.save(content(1, { length: LENGTH }), {
        id: reliable.newId(),
        model: MODEL,
        parent: null,
      });
      const store = new StateStore(new DyingBackend(data, { writes, after }));
      let stage: "begin" | "commit" | "done" = "begin";
      try {
        const begun = await store.begin(parent, content(2).turn, { id, model: MODEL });
        stage = "commit";
        await store.commit(begun!, content(3, { length: LENGTH }));
        stage = "done";
        finished = true;
      } catch (error) {
        assert.ok(error instanceof ProcessDied);
      }
      assert.deepEqual(await seedOf(reliable, parent.id), { state: 1, turn: 1 });
      const found = await seedOf(reliable, id).catch((error) => {
        assert.ok(error instanceof InferenceError && error.code === "state_not_found");
        return null;
      });
      const provisional = { state: 1, turn: 2 };
      const final = { state: 3, turn: 3 };
      if (stage === "done") assert.deepEqual(found, final);
      else if (stage === "begin") assert.ok(found === null || after && found.turn === 2);
      else assert.ok(found?.turn === 2 || found?.turn === 3);
      if (found !== null) assert.deepEqual(found, found.turn === 2 ? provisional : final);

      // The remaining states can be continued and deleted.
      if (found !== null) {
        const { info } = await reliable.load(id, { model: MODEL });
        const child = await reliable.begin(info, content(4).turn, {
          id: reliable.newId(),
          model: MODEL,
        });
        await reliable.delete(id);
        assert.equal((await seedOf(reliable, child!.id)).turn, 4);
        await reliable.delete(child!.id);
      }
      await reliable.delete(parent.id);
      if (finished) assert.equal(data.size, 0);
    }
  });

  Deno.test(`crash ${after ? "after" : "before"} any write of delete`, async () => {
    let finished = false;
    for (let writes = 0; !finished; writes++) {
      const data = new MemoryBackend();
      const reliable = new StateStore(data);
      const parent = await reliable.save(content(1, { length: LENGTH }), {
        id: reliable.newId(),
        model: MODEL,
        parent: null,
      });
      const child = await reliable.begin(parent, content(2).turn, {
        id: reliable.newId(),
        model: MODEL,
      });
      const store = new StateStore(new DyingBackend(data, { writes, after }));
      try {
        await store.delete(parent.id);
        finished = true;
      } catch (error) {
        assert.ok(error instanceof ProcessDied);
      }
      assert.equal((await seedOf(reliable, child!.id)).state, 1);
      await seedOf(reliable, parent.id).catch((error) => {
        assert.ok(error instanceof InferenceError && error.code === "state_not_found");
        assert.ok(after || writes > 0);
      });
    }
  });
}

Deno.test("kill -9 while saving: every printed id has a complete state", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kv.sqlite`;
    const script = new URL("./crash_writer.ts", import.meta.url).pathname;
    let ids = 0;
    for (const milliseconds of [150, 260, 370]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--unstable-kv", "-A", script, path, String(LENGTH)],
        stdout: "piped",
      }).spawn();
      const lines: string[] = [];
      const read = (async () => {
        let killing: ReturnType<typeof setTimeout> | undefined;
        for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
          lines.push(text);
          // Wait for some writes, which can take longer on a slow machine.
          if (lines.join("").split("begun").length <= 5) continue;
          killing ??= setTimeout(() => child.kill("SIGKILL"), milliseconds);
        }
      })();
      await child.status;
      await read;
      const backend = await DenoKvBackend.open(path);
      const store = new StateStore(backend);
      const committed = new Map<string, boolean>();
      for (const [, word, id] of lines.join("").matchAll(/(begun|committed|deleting) (\w+)\n/g)) {
        if (word === "deleting") committed.delete(id);
        else committed.set(id, word === "committed");
      }
      for (const [id, done] of committed) {
        const { state, turn } = await seedOf(store, id);
        if (done) assert.equal(state, turn);
      }
      ids += committed.size;
      backend.close();
    }
    assert.ok(ids > 5, `only ${ids} ids were printed`);
  });
});
