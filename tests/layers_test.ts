/** Every import goes the way that the architecture's table of layers allows. */

import assert from "node:assert/strict";

/** What each layer may import besides itself; `null` is everything. */
const MAY_IMPORT: Record<string, readonly string[] | null> = {
  "src/core": [],
  "kernels": [],
  "src/formats": ["src/core"],
  "src/tokenizer": ["src/core"],
  "src/sampler": ["src/core"],
  "src/grammar": ["src/core"],
  "src/store": ["src/core"],
  "src/access": ["src/core", "src/store"],
  "src/quant": ["src/core", "kernels"],
  "src/gpu": ["src/core", "kernels"],
  "src/model": ["src/core", "src/formats", "src/quant"],
  "src/engine": ["src/core", "kernels", "src/gpu", "src/model", "src/quant"],
  "src/scheduler": ["src/core", "src/engine", "src/sampler"],
  "src/session": ["src/core", "src/scheduler", "src/store", "src/tokenizer"],
  "routes": ["src/core", "src/access", "src/session"],
  "src/client": [],
  "src/hub": ["src/core"],
  "src/cli": null,
  "deploy": null,
  ".": null,
};

/** Folders that must run anywhere, with no `Deno.*`. */
const PORTABLE = [
  "kernels",
  "src/core",
  "src/formats",
  "src/tokenizer",
  "src/sampler",
  "src/grammar",
  "src/quant",
  "src/gpu",
  "src/model",
  "src/engine",
  "src/scheduler",
  "src/session",
  "src/client",
  "src/hub",
];

interface Module {
  specifier: string;
  dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[];
}

const ROOT = new URL("..", import.meta.url).href;

Deno.test("imports follow the table of layers", async () => {
  const wrong: string[] = [];
  for (const { specifier, dependencies = [] } of await modules()) {
    const from = layerOf(specifier);
    if (from === null) continue;
    for (const { code, type } of dependencies) {
      const target = code?.specifier ?? type?.specifier ?? "";
      const to = layerOf(target);
      const allowed = MAY_IMPORT[from];
      if (to === null || to === from || allowed === null || allowed.includes(to)) continue;
      wrong.push(`${path(specifier)} imports ${path(target)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("the client needs nothing else to run", async () => {
  const needed = (await modules()).filter(({ specifier }) => layerOf(specifier) === "src/client")
    .flatMap(({ dependencies = [] }) => dependencies.flatMap(({ code }) => code?.specifier ?? []));
  assert.ok(needed.length > 5);
  assert.deepEqual(needed.filter((specifier) => layerOf(specifier) !== "src/client"), []);
});

Deno.test("portable folders name nothing of Deno's", async () => {
  const wrong: string[] = [];
  for (const { specifier } of await modules()) {
    const folder = layerOf(specifier);
    if (folder === null || !PORTABLE.includes(folder)) continue;
    const source = await Deno.readTextFile(new URL(specifier));
    if (/\bDeno\.[a-z]/i.test(source)) wrong.push(path(specifier));
  }
  assert.deepEqual(wrong, []);
});

/** All modules that the command line, the worker and the library reach. */
async function modules(): Promise<Module[]> {
  const found = new Map<string, Module>();
  for (
    const entry of ["mod.ts", "lib.ts", "main.ts", "src/cli/main.ts", "src/server/engine_worker.ts"]
  ) {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", new URL(entry, ROOT).pathname],
      stderr: "inherit",
    }).output();
    assert.ok(success, `deno info ${entry} failed`);
    const graph: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
    for (const module of graph.modules) found.set(module.specifier, module);
  }
  assert.ok(found.size > 40, "the graph looks too small");
  return [...found.values()];
}

function path(specifier: string): string {
  return specifier.slice(ROOT.length);
}

/** The layer of one of the project's TypeScript modules, or `null` for anything else. */
function layerOf(specifier: string): string | null {
  if (!specifier.startsWith(ROOT) || !/\.(ts|wgsl)$/.test(specifier)) return null;
  const file = path(specifier);
  const folder = file.match(/^(src\/[^/]+|[^/]+)\//)?.[1] ?? ".";
  assert.ok(folder in MAY_IMPORT, `${file} is in a folder that the table of layers does not have`);
  return folder;
}
