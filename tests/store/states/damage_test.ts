/** Damaged states in an SQLite file. */

import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { rejects } from "../../session/fixtures.ts";
import { DAMAGES } from "./damage.ts";
import { content, MODEL, withTempFolder } from "../fixtures.ts";

for (const { name, apply, message } of DAMAGES) {
  for (const length of [200_000, 3_000_000]) {
    Deno.test(`${name} in a state of ${length} bytes is an error`, async () => {
      await withTempFolder(async (folder) => {
        const path = `${folder}/kv.sqlite`;
        const backend = await DenoKvBackend.open(path);
        const store = new StateStore(backend);
        const [state, other] = await Promise.all([1, 2].map((seed) => {
          const options = { id: store.newId(), model: MODEL, parent: null };
          return store.save(content(seed, { length }), options);
        }));
        const kv = await Deno.openKv(path);
        await apply(kv, { id: state.id, other: other.id });
        kv.close();
        await rejects(store.load(state.id, { model: MODEL }), "state_damaged", message);
        const readParts = async () => {
          const { info } = await store.inspect(state.id);
          return await store.readState(info);
        };
        await rejects(readParts(), "state_damaged", message);
        await store.load(other.id, { model: MODEL });
        backend.close();
      });
    });
  }
}
