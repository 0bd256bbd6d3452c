/** Every import follows the architecture document's table of layers. */

import assert from "node:assert/strict";

/** The document that contains the table of layers. */
const ARCHITECTURE = "docs/internals/architecture.md";

/** A row of the table. */
interface Layer {
  /** Layers that it may import besides itself, or `null` for all of them. */
  mayImport: readonly string[] | null;
  /** Whether it must not use `Deno.*`. */
  portable: boolean;
}

interface Module {
  specifier: string;
  dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[];
}

const ROOT = new URL("..", import.meta.url).href;

/**
 * Maximum number of project modules that the chat route may import: it must not reach the engine.
 */
const MAX_ROUTE_MODULES = 60;

const LAYERS = await readLayers();

Deno.test("imports follow the table of layers", async () => {
  const wrong: string[] = [];
  for (const { specifier, dependencies = [] } of await modules()) {
    const from = layerOf(specifier);
    if (from === null) continue;
    for (const { code, type } of dependencies) {
      const target = code?.specifier ?? type?.specifier ?? "";
      const to = layerOf(target);
      const { mayImport } = LAYERS.get(from)!;
      if (to === null || to === from || mayImport === null || mayImport.includes(to)) continue;
      wrong.push(`${path(specifier)} imports ${path(target)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("imports have no cycle", async () => {
  const imports = new Map<string, string[]>();
  for (const { specifier, dependencies = [] } of await modules()) {
    if (layerOf(specifier) === null) continue;
    const targets = dependencies.map(({ code, type }) => code?.specifier ?? type?.specifier ?? "");
    imports.set(specifier, targets.filter((target) => layerOf(target) !== null));
  }
  const done = new Set<string>();
  const visit = (specifier: string, above: readonly string[]): string[] | null => {
    const start = above.indexOf(specifier);
    if (start >= 0) return [...above.slice(start), specifier].map(path);
    if (done.has(specifier)) return null;
    done.add(specifier);
    for (const target of imports.get(specifier) ?? []) {
      const cycle = visit(target, [...above, specifier]);
      if (cycle) return cycle;
    }
    return null;
  };
  for (const specifier of imports.keys()) assert.deepEqual(visit(specifier, []), null);
});

Deno.test("the chat route imports only interfaces of the layers below", async () => {
  const files = (await modulesOf("routes/chat/chat.ts")).filter(({ specifier }) =>
    layerOf(specifier) !== null
  );
  assert.ok(files.length <= MAX_ROUTE_MODULES, files.map(({ specifier }) => specifier).join("\n"));
});

Deno.test("every layer of the table exists", async () => {
  for (const layer of LAYERS.keys()) await Deno.stat(new URL(layer, ROOT));
});

Deno.test("the client imports no other layer at run time", async () => {
  const needed = (await modules()).filter(({ specifier }) => layerOf(specifier) === "src/client")
    .flatMap(({ dependencies = [] }) => dependencies.flatMap(({ code }) => code?.specifier ?? []));
  assert.ok(needed.length > 5);
  assert.deepEqual(needed.filter((specifier) => layerOf(specifier) !== "src/client"), []);
});

Deno.test("portable folders do not use Deno", async () => {
  const wrong: string[] = [];
  for (const { specifier } of await modules()) {
    const folder = layerOf(specifier);
    if (folder === null || !LAYERS.get(folder)!.portable) continue;
    const source = await Deno.readTextFile(new URL(specifier));
    if (/\bDeno\.[a-z]/i.test(source)) wrong.push(path(specifier));
  }
  assert.deepEqual(wrong, []);
});

/** Reads the table of layers. A name such as `core` stands for `src/core`. */
async function readLayers(): Promise<Map<string, Layer>> {
  const text = await Deno.readTextFile(new URL(ARCHITECTURE, ROOT));
  const rows = [...text.matchAll(/^\| (`[^|]*`) +\|[^|]*\| ([^|]*?) +\| (yes|no) +\|$/gm)];
  const folders = rows.map(([, names]) =>
    [...names.matchAll(/`([^`]*)`/g)].map(([, name]) => name)
  );
  const all = folders.flat();
  const layers = new Map<string, Layer>();
  rows.forEach(([, , allowed, portable], i) => {
    const mayImport = allowed === "anything" ? null : allowed === "nothing" ? [] : allowed
      .split(", ").map((name) =>
        all.find((folder) => folder === name || folder === `src/${name}`)!
      );
    assert.ok(
      mayImport === null || !mayImport.includes(undefined!),
      `unknown folder in: ${allowed}`,
    );
    for (const folder of folders[i]) {
      layers.set(folder, { mayImport, portable: portable === "yes" });
    }
  });
  assert.ok(layers.size > 20, `the table of layers in ${ARCHITECTURE} looks too small`);
  return layers;
}

/** Returns the modules that an entry point reaches. */
async function modulesOf(entry: string): Promise<Module[]> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL(entry, ROOT).pathname],
    stderr: "inherit",
  }).output();
  assert.ok(success, `deno info ${entry} failed`);
  return JSON.parse(new TextDecoder().decode(stdout)).modules;
}

/** Returns all modules that the command line, the worker and the library reach. */
async function modules(): Promise<Module[]> {
  const found = new Map<string, Module>();
  for (
    const entry of ["mod.ts", "lib.ts", "main.ts", "src/cli/main.ts", "src/server/engine_worker.ts"]
  ) {
    for (const module of await modulesOf(entry)) found.set(module.specifier, module);
  }
  assert.ok(found.size > 40, "the graph looks too small");
  return [...found.values()];
}

function path(specifier: string): string {
  return specifier.slice(ROOT.length);
}

/** Returns the layer of one of the project's TypeScript modules, or `null` for anything else. */
function layerOf(specifier: string): string | null {
  if (!specifier.startsWith(ROOT) || !/\.(ts|wgsl)$/.test(specifier)) return null;
  const file = path(specifier);
  const layer = file.match(/^(src\/[^/]+|[^/]+)\//)?.[1] ?? file;
  assert.ok(LAYERS.has(layer), `${file} is in a folder that the table of layers does not have`);
  return layer;
}
