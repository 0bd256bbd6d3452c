/** Begins and commits states and prints their ids until the process is killed: see crash_test.ts. */

import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { content, MODEL } from "../../store/fixtures.ts";

const [path, length] = Deno.args;
const store = new StateStore(await DenoKvBackend.open(path));
const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

let parent = await store.save(content(0, { length: Number(length) }), {
  id: store.newId(),
  model: MODEL,
  parent: null,
});
for (let seed = 1;; seed = (seed + 1) % 200) {
  const next = (seed + 200) % 251;
  const begun = await store.begin(parent, content(next).turn, { id: store.newId(), model: MODEL });
  if (begun === null) throw new Error("The parent changed");
  print(`begun ${begun.id}`);
  const info = await store.commit(begun, content(next, { length: Number(length) }));
  print(`committed ${info.id}`);
  if (seed % 2 === 0) {
    print(`deleting ${parent.id}`);
    await store.delete(parent.id);
  }
  parent = info;
}
