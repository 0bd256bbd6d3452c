/**
 * Runs the operations in the first argument, such as `[["read", "/etc/passwd"], …]`, and prints the
 * results as JSON: `done` or the name of the error. Tests start it instead of the worker, with the
 * worker's permissions.
 */

const OPERATIONS: Record<string, (...args: string[]) => unknown> = {
  read: (path) => Deno.stat(path),
  write: async (path) => {
    await Deno.writeTextFile(path, "");
    await Deno.remove(path);
  },
  listen: (hostname, port) => Deno.listen({ hostname, port: Number(port) }).close(),
  connect: async (hostname, port) => {
    // A refused connection proves that the permission was granted.
    const refused = (error: unknown) => {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    };
    await Deno.connect({ hostname, port: Number(port) }).then((peer) => peer.close(), refused);
  },
  // Importing remote code needs its own permission.
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

const results: string[] = [];
for (const [name, ...args] of JSON.parse(Deno.args[0]) as string[][]) {
  try {
    await OPERATIONS[name](...args);
    results.push("done");
  } catch (error) {
    results.push((error as Error).name);
  }
}
console.log(JSON.stringify(results));
