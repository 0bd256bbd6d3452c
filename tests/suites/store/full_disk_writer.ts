/** Saves states until writes fail, then loads the saved ones. Prints events: see full_disk_test.ts. */

import { InferenceError } from "../../../src/core/errors.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { content, MODEL } from "../../store/fixtures.ts";

const [path, length] = Deno.args;
const backend = await DenoKvBackend.open(path);
const store = new StateStore(backend);
const seeds = new Map<string, number>();
const print = (event: string, state: unknown) => console.log(JSON.stringify({ event, state }));

/** Saves a state and returns whether the write succeeded. */
async function save(seed: number): Promise<boolean> {
  const id = store.newId();
  try {
    await store.save(content(seed, { length: Number(length) }), { id, model: MODEL, parent: null });
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    print("failed", { id, code: error.code, message: error.message });
    return false;
  }
  seeds.set(id, seed);
  print("saved", { id, seed });
  return true;
}

for (let seed = 0, failures = 0; failures < 3; seed++) if (!await save(seed)) failures++;
for (const [id, seed] of seeds) {
  const { state } = await store.load(id, { model: MODEL });
  print("loaded", { id, whole: state![0] === seed });
}
backend.close();
