/** What a process that dies at any write leaves behind: whole states, or nothing. */

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

/** Seed of a loaded state whose state and turn belong together, else it throws. */
async function seedOf(store: StateStore, id: string): Promise<{ state: number; turn: number }> {
  const { state, turn, open } = await store.load(id, { model: MODEL });
  const { seed } = JSON.parse(new TextDecoder().decode(turn));
  assert.deepEqual(state, pattern(LENGTH, state![0]));
  assert.equal(open, state![0] !== seed);
  return { state: state![0], turn: seed };
}

for (const after of [false, true]) {
  Deno.test(`dying ${after ? "just after" : "in"} any write of begin and commit`, async () => {
    let finished = false;
    for (let writes = 0; !finished; writes++) {
      assert.ok(writes < 50);
      const data = new MemoryBackend();
      const calm = new StateStore(data);
      const id = calm.newId();
      const parent = await calm.save(content(1, { length: LENGTH }), {
        id: calm.newId(),
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
      assert.deepEqual(await seedOf(calm, parent.id), { state: 1, turn: 1 });
      const found = await seedOf(calm, id).catch((error) => {
        assert.ok(error instanceof InferenceError && error.code === "state_not_found");
        return null;
      });
      const provisional = { state: 1, turn: 2 };
      const final = { state: 3, turn: 3 };
      if (stage === "done") assert.deepEqual(found, final);
      else if (stage === "begin") assert.ok(found === null || after && found.turn === 2);
      else assert.ok(found?.turn === 2 || found?.turn === 3);
      if (found !== null) assert.deepEqual(found, found.turn === 2 ? provisional : final);

      // Whatever is left can be carried on and deleted.
      if (found !== null) {
        const { info } = await calm.load(id, { model: MODEL });
        const child = await calm.begin(info, content(4).turn, { id: calm.newId(), model: MODEL });
        await calm.delete(id);
        assert.equal((await seedOf(calm, child!.id)).turn, 4);
        await calm.delete(child!.id);
      }
      await calm.delete(parent.id);
      if (finished) assert.equal(data.size, 0);
    }
  });

  Deno.test(`dying ${after ? "just after" : "in"} any write of delete`, async () => {
    let finished = false;
    for (let writes = 0; !finished; writes++) {
      const data = new MemoryBackend();
      const calm = new StateStore(data);
      const parent = await calm.save(content(1, { length: LENGTH }), {
        id: calm.newId(),
        model: MODEL,
        parent: null,
      });
      const child = await calm.begin(parent, content(2).turn, { id: calm.newId(), model: MODEL });
      const store = new StateStore(new DyingBackend(data, { writes, after }));
      try {
        await store.delete(parent.id);
        finished = true;
      } catch (error) {
        assert.ok(error instanceof ProcessDied);
      }
      assert.equal((await seedOf(calm, child!.id)).state, 1);
      await seedOf(calm, parent.id).catch((error) => {
        assert.ok(error instanceof InferenceError && error.code === "state_not_found");
        assert.ok(after || writes > 0);
      });
    }
  });
}

Deno.test("kill -9 while saving: every id that was printed is whole", async () => {
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
          // However slow it is, it is to have written a few.
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
