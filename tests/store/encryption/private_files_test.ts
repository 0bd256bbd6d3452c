import assert from "node:assert/strict";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { withTempFolder } from "../fixtures.ts";

Deno.test({
  name: "a new database and the files that SQLite adds are accessible only to their owner",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withTempFolder(async (folder) => {
      const backend = await DenoKvBackend.open(`${folder}/kv.sqlite`);
      await backend.atomic([], [{ type: "set", key: ["t", 1], value: new Uint8Array(9) }]);
      const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
      assert.deepEqual(files, ["kv.sqlite", "kv.sqlite-shm", "kv.sqlite-wal"]);
      for (const file of files) {
        assert.equal(Deno.statSync(`${folder}/${file}`).mode! & 0o777, 0o600, file);
      }
      backend.close();
    });
  },
});
