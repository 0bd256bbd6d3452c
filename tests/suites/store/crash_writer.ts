/** Begins and commits states in a loop, saying so, until it is killed: see crash_test.ts. */

import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { content, MODEL } from "../../store/fixtures.ts";

const [path, length] = Deno.args;
const store = new StateStore(await DenoKvBackend.open(path));
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

let parent = await store.save(content(0, { length: Number(length) }), {
  id: store.newId(),
  model: MODEL,
  parent: null,
});
for (let seed = 1;; seed = (seed + 1) % 200) {
  const next = (seed + 200) % 251;
  const begun = await store.begin(parent, content(next).turn, { id: store.newId(), model: MODEL });
  if (begun === null) throw new Error("The parent changed");
  say(`begun ${begun.id}`);
  const info = await store.commit(begun, content(next, { length: Number(length) }));
  say(`committed ${info.id}`);
  if (seed % 2 === 0) {
    say(`deleting ${parent.id}`);
    await store.delete(parent.id);
  }
  parent = info;
}
