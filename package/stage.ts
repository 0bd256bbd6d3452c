/**
 * Copies the portable modules into a staging folder that `deno pack` can pack. Node cannot import text,
 * so each shader becomes a module that exports its text.
 */

import root from "../deno.json" with { type: "json" };

const ROOT = new URL("..", import.meta.url);

/** The package's exports: specifier to module. */
export const ENTRIES: Record<string, string> = {
  ".": "./lib.ts",
  "./client": "./src/client/mod.ts",
};

/** The package's other files: name in the package to source path. */
const FILES: Record<string, string> = { "README.md": "package/README.md", "LICENSE": "LICENSE" };

/** The type libraries of globals that exist in Node 20 and in browsers. */
const LIBRARIES = ["es2023", "es2024.string", "dom", "dom.iterable", "dom.asynciterable"];

interface Module {
  specifier: string;
}

/** @param folder The staging folder; its previous contents are removed. */
export async function stage(folder: URL): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const packages = new Set<string>();
  for (const { specifier } of await modules()) {
    if (specifier.startsWith(ROOT.href)) await copy(specifier.slice(ROOT.href.length), folder);
    else packages.add(specifier.replace(/^npm:\/?/, "").replace(/(?<=.)@.*$/, ""));
  }
  for (const [name, from] of Object.entries(FILES)) {
    await Deno.copyFile(new URL(from, ROOT), new URL(name, folder));
  }
  const { name, version, license, compilerOptions } = root;
  const imports = Object.entries(root.imports).filter(([specifier]) => packages.has(specifier));
  const config = {
    name,
    version,
    license,
    exports: ENTRIES,
    imports: Object.fromEntries(imports),
    compilerOptions: { ...compilerOptions, lib: LIBRARIES },
  };
  await Deno.writeTextFile(new URL("deno.json", folder), JSON.stringify(config, null, 2));
}

/** Returns all modules that the entries import, including type imports. */
async function modules(): Promise<Module[]> {
  const found = new Map<string, Module>();
  for (const entry of Object.values(ENTRIES)) {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", new URL(entry, ROOT).pathname],
      stderr: "inherit",
    }).output();
    if (!success) throw new Error(`Cannot list the modules of ${entry}`);
    const graph: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
    for (const module of graph.modules) found.set(module.specifier, module);
  }
  return [...found.values()];
}

async function copy(path: string, folder: URL): Promise<void> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  const shader = path.endsWith(".wgsl");
  const target = new URL(shader ? moduleOf(path) : path, folder);
  await Deno.mkdir(new URL(".", target), { recursive: true });
  await Deno.writeTextFile(target, shader ? textModule(text) : withTextModules(text));
}

function moduleOf(shader: string): string {
  return shader.replace(/\.wgsl$/, "_wgsl.ts");
}

function textModule(text: string): string {
  return `const text: string = ${JSON.stringify(text)};\nexport default text;\n`;
}

function withTextModules(source: string): string {
  return source.replace(
    /(from ")(\.[^"]*\.wgsl)" with \{ type: "text" \}/g,
    (_, before, shader) => `${before}${moduleOf(shader)}"`,
  );
}
