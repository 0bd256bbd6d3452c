/**
 * Tries what the first argument lists, `[["read", "/etc/passwd"], …]`, and prints what came of each
 * as JSON: `done`, or the error's name. Runs in the worker's place, with the worker's permissions.
 */

const TRIES: Record<string, (...args: string[]) => unknown> = {
  read: (path) => Deno.stat(path),
  write: async (path) => {
    await Deno.writeTextFile(path, "");
    await Deno.remove(path);
  },
  listen: (hostname, port) => Deno.listen({ hostname, port: Number(port) }).close(),
  connect: async (hostname, port) => {
    // Nobody need be there.
    const refused = (error: unknown) => {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    };
    await Deno.connect({ hostname, port: Number(port) }).then((peer) => peer.close(), refused);
  },
  // Hosts that code is loaded from are a permission of their own.
  import: async (host) => {
    const { state } = await Deno.permissions.query({ name: "import", host });
    if (state !== "granted") throw new Deno.errors.NotCapable();
  },
  env: (name) => Deno.env.get(name),
  run: (program) => new Deno.Command(program).output(),
  ffi: (library) => Deno.dlopen(library, {}),
  hostname: () => Deno.hostname(),
  memory: () => Deno.systemMemoryInfo(),
};

const found: string[] = [];
for (const [name, ...args] of JSON.parse(Deno.args[0]) as string[][]) {
  try {
    await TRIES[name](...args);
    found.push("done");
  } catch (error) {
    found.push((error as Error).name);
  }
}
console.log(JSON.stringify(found));
